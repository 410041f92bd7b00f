package containerenv

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ErrNoBusybox is what FindBusybox returns where there is none that an image can be made of.
var ErrNoBusybox = errors.New("no statically linked busybox on PATH: install busybox-static")

// FindBusybox returns the path of the statically linked busybox on PATH.
func FindBusybox() (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		candidate := filepath.Join(dir, "busybox")
		if _, err := architecture(candidate); err == nil {
			return candidate, nil
		}
	}
	return "", ErrNoBusybox
}

// BaseImage makes a Docker image (schema 2) of the statically linked busybox at the given path: a shell, the usual
// commands, and what the dev container CLI reads of a base image. The same busybox gives the same digest.
func BaseImage(busybox string) (v1.Image, error) {
	arch, err := architecture(busybox)
	if err != nil {
		return nil, err
	}
	layer, err := rootFilesystem(busybox)
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "busybox root file system", Created: v1.Time{Time: epoch}},
	})
	if err != nil {
		return nil, fmt.Errorf("add the root file system to the base image: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the base image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS = "linux"
	config.Architecture = arch
	config.Created = v1.Time{Time: epoch}
	config.Config = v1.Config{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Cmd: []string{"/bin/sh"},
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("set the base image's configuration: %w", err)
	}
	return image, nil
}

// architecture returns the Go name of the machine that a statically linked Linux program is for.
func architecture(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read busybox: %w", err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s is linked dynamically: %w", program, ErrNoBusybox)
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("%s is for %s, neither amd64 nor arm64", program, file.Machine)
	}
}

// epoch is the time of everything in the image, so that its digest depends on busybox alone.
var epoch = time.Unix(0, 0).UTC()

// directories of the root file system and their modes. Those below come after those above.
var directories = []struct {
	name string
	mode int64
}{
	{"bin", 0o755},
	{"dev", 0o755},
	{"etc", 0o755},
	{"home", 0o755},
	{"proc", 0o555},
	{"root", 0o700},
	{"run", 0o755},
	{"sbin", 0o755},
	{"sys", 0o555},
	{"tmp", 0o1777},
	{"usr", 0o755},
	{"usr/bin", 0o755},
	{"usr/local", 0o755},
	{"usr/local/bin", 0o755},
	{"usr/local/share", 0o755},
	{"usr/sbin", 0o755},
	{"var", 0o755},
	{"var/tmp", 0o1777},
}

// textFiles are what programs look up in a root file system. The dev container CLI reads the first two.
var textFiles = []struct{ name, content string }{
	{"etc/os-release", "ID=busybox\nNAME=BusyBox\nPRETTY_NAME=\"BusyBox, statically linked\"\nVERSION_ID=1\n"},
	{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
	{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
	{"etc/shadow", "root:*:::::::\nnobody:*:::::::\n"},
	{"etc/profile", "export PATH\n"},
}

func rootFilesystem(busybox string) (v1.Layer, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	applets, err := applets(busybox)
	if err != nil {
		return nil, err
	}

	var archive bytes.Buffer
	files := tar.NewWriter(&archive)
	add := func(header tar.Header, content []byte) {
		header.ModTime = epoch
		header.Size = int64(len(content))
		header.Format = tar.FormatUSTAR
		// A write that fails fails all later ones as well, and Close.
		if err := files.WriteHeader(&header); err == nil {
			_, _ = files.Write(content)
		}
	}
	for _, directory := range directories {
		add(tar.Header{Typeflag: tar.TypeDir, Name: directory.name + "/", Mode: directory.mode}, nil)
	}
	for _, file := range textFiles {
		add(tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: 0o644}, []byte(file.content))
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, program)
	for _, applet := range applets {
		add(tar.Header{Typeflag: tar.TypeSymlink, Name: applet, Linkname: "/bin/busybox", Mode: 0o777}, nil)
	}
	if err := files.Close(); err != nil {
		return nil, fmt.Errorf("write the root file system: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed))
}

// applets returns where busybox's commands go in a root file system, sorted.
func applets(busybox string) ([]string, error) {
	output, err := exec.Command(busybox, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("ask busybox for its commands: %w", err)
	}
	places := map[string]bool{}
	for _, directory := range directories {
		places[directory.name] = true
	}
	var found []string
	for applet := range strings.Lines(string(output)) {
		applet = strings.TrimSpace(applet)
		if applet != "bin/busybox" && places[path.Dir(applet)] {
			found = append(found, applet)
		}
	}
	slices.Sort(found)
	if !slices.Contains(found, "bin/sh") {
		return nil, fmt.Errorf("%s has no shell among its %d commands", busybox, len(found))
	}
	return found, nil
}
