package differential

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// image is what is in an image, as far as a key holds it.
type image struct {
	// lines are the files, sorted: name, kind, target, mode and content, but no times and owners.
	lines []string
	// marks are the marks of files whose contents are in the image.
	marks map[string]bool
}

// machineFolders are folders at the top in which engines and base images have files of their own.
var machineFolders = []string{"etc", "dev", "proc", "sys", "run", "bin", "sbin", "usr", "var"}

// markPattern is what mark returns.
var markPattern = regexp.MustCompile(`<[^<>\n]+>`)

// mark is what stands in the content of a file, so that an image tells of the file.
func mark(name string) string { return "<" + name + ">" }

// readImage reads the tar archive of a root file system.
func readImage(archive io.Reader) (*image, error) {
	read := &image{marks: map[string]bool{}}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name := strings.Trim(strings.TrimPrefix(header.Name, "./"), "/")
		top, _, _ := strings.Cut(name, "/")
		if slices.Contains(machineFolders, top) {
			continue
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		for _, found := range markPattern.FindAllString(string(content), -1) {
			read.marks[found] = true
		}
		read.lines = append(read.lines, fmt.Sprintf("%q %c %q %04o %.8x",
			name, header.Typeflag, header.Linkname, modeOf(header), sha256.Sum256(content)))
	}
	slices.Sort(read.lines)
	return read, nil
}

// modeOf are the bits of a mode that count: whether the owner may execute, and whether others may read.
func modeOf(header *tar.Header) fs.FileMode {
	mode := fs.FileMode(header.Mode)
	switch {
	case header.Typeflag == tar.TypeSymlink:
		return 0
	case header.Typeflag == tar.TypeDir, mode&0o100 != 0:
		return mode & 0o155
	}
	return mode & 0o144
}

// config adds an image's configuration.
func (i *image) config(c *v1.Config) {
	parts := map[string]any{"env": c.Env, "user": c.User, "entrypoint": c.Entrypoint, "cmd": c.Cmd, "workdir": c.WorkingDir}
	for name, value := range c.Labels {
		parts["label "+name] = value
	}
	delete(parts, "label io.buildah.version")
	for name, value := range parts {
		text, _ := json.Marshal(value)
		i.lines = append(i.lines, "config "+name+" "+string(text))
	}
	slices.Sort(i.lines)
}

// difference returns the lines that two images don't share, "" where they are the same.
func (i *image) difference(other *image) string {
	var lines []string
	for _, line := range i.lines {
		if _, found := slices.BinarySearch(other.lines, line); !found {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range other.lines {
		if _, found := slices.BinarySearch(i.lines, line); !found {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}
