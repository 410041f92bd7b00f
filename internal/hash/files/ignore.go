package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"imagecache.dev/internal/devcontainer"
)

// Ignore says which entries of a build context a build doesn't see. One that
// any of its rules lets a builder see counts as seen.
type Ignore struct {
	rules []*patternmatcher.PatternMatcher
	read  []IgnoreFile
}

// IgnoreFile is an ignore file that was read.
type IgnoreFile struct {
	// Path relative to the context; where Own, it is the Dockerfile's own ignore
	// file, and Path is relative to the workspace.
	Path     string
	Own      bool
	Contents []byte
}

// Differing returns the ignore files where builders read them differently, and
// none where each builder ignores the same. What is seen then does not tell what
// one builder sees.
func (i *Ignore) Differing() []IgnoreFile {
	if len(i.rules) < 2 {
		return nil
	}
	return i.read
}

// The ignore files of a context. Podman prefers the second where both are
// there, docker knows the first alone.
// https://docs.docker.com/build/concepts/context/#dockerignore-files,
// https://docs.podman.io/en/latest/markdown/podman-build.1.html#files
const (
	dockerIgnore = ".dockerignore"
	podmanIgnore = ".containerignore"
)

// ReadIgnore reads the ignore files at the top of a context.
//
// A Dockerfile's own ignore file, as Dockerfile.dockerignore, hides nothing
// here: the reference CLI builds a copy of the Dockerfile from elsewhere,
// where no builder finds that file.
func ReadIgnore(root *os.Root) (*Ignore, error) {
	ignore := &Ignore{}
	for _, name := range []string{dockerIgnore, podmanIgnore} {
		found, err := ignore.take(root, name, false)
		if err != nil {
			return nil, err
		}
		if !found && name == dockerIgnore {
			// Docker then sees everything, whatever podman ignores.
			ignore.rules = append(ignore.rules, nil)
		}
	}
	return ignore, nil
}

// ReadIgnoreBeside reads the ignore files of a Dockerfile that is built as it
// is. BuildKit reads the Dockerfile's own one alone where it exists, a builder
// without BuildKit the one at the context's top alone. dockerfile is relative to
// workspace:
// https://docs.docker.com/build/concepts/context/#filename-and-location
func ReadIgnoreBeside(root, workspace *os.Root, dockerfile string) (*Ignore, error) {
	ignore := &Ignore{}
	found, err := ignore.take(workspace, dockerfile+dockerIgnore, true)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return ReadIgnore(root)
	}
	if found, err = ignore.take(root, dockerIgnore, false); err != nil {
		return nil, err
	}
	if !found {
		// A builder without BuildKit sees everything.
		ignore.rules = append(ignore.rules, nil)
	}
	return ignore, nil
}

// take adds the rules of one ignore file, and reports whether it exists.
func (i *Ignore) take(root *os.Root, name string, own bool) (found bool, err error) {
	contents, found, err := readIgnoreFile(root, name)
	if err != nil {
		return false, fmt.Errorf("read ignore file: %w", err)
	}
	if !found {
		return false, nil
	}
	i.read = append(i.read, IgnoreFile{Path: name, Own: own, Contents: contents})
	readings := [][]byte{contents}
	if other := withoutIndented(contents); len(other) != len(contents) {
		readings = append(readings, other)
	}
	for _, lines := range readings {
		rule, err := ParseIgnore(lines)
		if err != nil {
			return false, fmt.Errorf("read ignore file %s: %w", name, err)
		}
		i.rules = append(i.rules, rule)
	}
	return true, nil
}

// readIgnoreFile reads one ignore file. BuildKit follows no link out of the
// context, so a file that is not there, or not in the context, hides nothing.
func readIgnoreFile(root *os.Root, name string) (contents []byte, found bool, err error) {
	contents, err = devcontainer.ReadFile(root, name, devcontainer.MaxDockerfileBytes)
	switch {
	case err == nil:
		return contents, true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, devcontainer.ErrNotRegular):
		return nil, false, nil
	}
	info, linkErr := root.Lstat(name)
	if linkErr == nil && info.Mode().Type() == fs.ModeSymlink && !errors.Is(err, devcontainer.ErrChanged) {
		return nil, false, nil
	}
	return nil, false, err
}

// withoutIndented leaves out the lines that begin with a space: BuildKit cuts
// the space off, buildah takes it for a part of the name.
func withoutIndented(contents []byte) []byte {
	if !bytes.ContainsAny(contents, " \t") {
		return contents
	}
	lines := bytes.SplitAfter(contents, []byte("\n"))
	kept := slices.DeleteFunc(lines, func(line []byte) bool {
		text := bytes.TrimSpace(line)
		return len(text) > 0 && text[0] != '!' && text[0] != '#' && line[0] != text[0]
	})
	return bytes.Join(kept, nil)
}

// ParseIgnore reads the patterns of an ignore file, nil where there are none.
func ParseIgnore(contents []byte) (*patternmatcher.PatternMatcher, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(contents))
	if err != nil || len(patterns) == 0 {
		return nil, err
	}
	return patternmatcher.New(patterns)
}

// seen is what the rules say of one folder, for use with what is in it.
type seen []patternmatcher.MatchInfo

// match reports whether a name is visible, given what was found of its folder,
// and whether something below it can be visible.
func (i *Ignore) match(name string, parent seen) (visible, below bool, here seen, err error) {
	if i == nil || slices.Contains(i.rules, nil) {
		return true, true, nil, nil
	}
	here = make(seen, len(i.rules))
	for n, rule := range i.rules {
		var before patternmatcher.MatchInfo
		if parent != nil {
			before = parent[n]
		}
		ignored, info, err := rule.MatchesUsingParentResults(name, before)
		if err == nil && ignored && rule.Exclusions() {
			ignored, err = ignoredByAll(rule, name)
		}
		if err != nil {
			return false, false, nil, err
		}
		here[n] = info
		visible = visible || !ignored
		below = below || !ignored || rule.Exclusions()
	}
	return visible, below, here, nil
}

// ignoredByAll reports whether the builders that read exceptions in another
// way than BuildKit ignore a name, too: buildah lets an exception match a
// folder above, and docker before 23 the folder above of the pattern's depth.
// https://github.com/moby/moby/issues/45608
func ignoredByAll(rule *patternmatcher.PatternMatcher, name string) (bool, error) {
	ignored, err := rule.MatchesOrParentMatches(name)
	if err != nil || !ignored {
		return false, err
	}
	return rule.Matches(name) //nolint:staticcheck // what old versions do is what is asked
}

// visible reports whether one name is visible, from the rules alone.
func (i *Ignore) visible(name string) (bool, error) {
	var parent seen
	visible := true
	for n := range len(name) + 1 {
		if n != len(name) && name[n] != '/' {
			continue
		}
		var err error
		if visible, _, parent, err = i.match(path.Clean(name[:n]), parent); err != nil {
			return false, err
		}
	}
	return visible, nil
}
