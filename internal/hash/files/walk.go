package files

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// visit is an entry on a walk.
type visit struct {
	path  string // from the tree's top
	below string // from the walk's top
	kind  Kind
	// visible is what the ignore files say; a folder that is not may have entries that are.
	visible bool
}

// walk calls on each entry below a folder, but not below ignored folders in
// which nothing can be visible, nor where on answers false. Links are not followed.
func (t *Tree) walk(top string, on func(visit) (bool, error)) error {
	above, err := t.ignoredAbove(top)
	if err != nil {
		return err
	}
	folder, err := t.root.OpenRoot(top)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return t.walkFolder(folder, top, "", above, on)
}

// ignoredAbove is what the ignore files say of a folder, for what is in it.
func (t *Tree) ignoredAbove(folder string) (seen, error) {
	var above seen
	if folder == "." {
		return nil, nil
	}
	for n := range len(folder) + 1 {
		if n != len(folder) && folder[n] != '/' {
			continue
		}
		var err error
		if _, _, above, err = t.ignore.match(folder[:n], above); err != nil {
			return nil, err
		}
	}
	return above, nil
}

// walkFolder has one open folder for each level, so that no path is resolved twice.
func (t *Tree) walkFolder(folder *os.Root, name, below string, above seen, on func(visit) (bool, error)) error {
	children, err := t.readFolder(folder, name)
	if err != nil {
		return err
	}
	for _, child := range children {
		entry := visit{path: join(name, child.name), below: join(below, child.name), kind: kindOf(child.mode)}
		visible, inside, here, err := t.ignore.match(entry.path, above)
		if err != nil {
			return err
		}
		if !visible && (!inside || child.mode != fs.ModeDir) {
			continue
		}
		entry.visible = visible
		descend, err := on(entry)
		if err != nil {
			return err
		}
		if !descend || !inside || entry.kind != Folder {
			continue
		}
		if err := t.descend(folder, child.name, entry, here, on); err != nil {
			return err
		}
	}
	return nil
}

// readFolder lists a folder of the tree, without sockets, which builders skip
// in a folder. It bounds how many names are looked at.
func (t *Tree) readFolder(folder *os.Root, name string) ([]child, error) {
	children, err := readFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.visited += len(children)
	if t.visited > 10*t.limits.Entries {
		return nil, fmt.Errorf("%w: more than %d names to look at; an ignore file helps", ErrTooMany, 10*t.limits.Entries)
	}
	return slices.DeleteFunc(children, func(c child) bool { return c.mode == fs.ModeSocket }), nil
}

func (t *Tree) descend(folder *os.Root, child string, entry visit, here seen, on func(visit) (bool, error)) error {
	next, err := folder.OpenRoot(child)
	if err != nil {
		return fmt.Errorf("%s: %w", entry.path, err)
	}
	defer func() { _ = next.Close() }()
	return t.walkFolder(next, entry.path, entry.below, here, on)
}

// join is path.Join of a cleaned folder and a name in it.
func join(folder, name string) string {
	if folder == "." || folder == "" {
		return name
	}
	return folder + "/" + name
}

// maxLinks is how many links one name may lead through, as in Linux:
// https://man7.org/linux/man-pages/man7/path_resolution.7.html
const maxLinks = 40

// follow resolves the links in a name, and finds what it names. Every link on
// the way becomes an entry.
func (t *Tree) follow(name string) (string, fs.FileInfo, error) {
	links := 0
	resolved, err := t.resolve(name, func(link string) error {
		links++
		return t.add(link, Symlink)
	})
	var info fs.FileInfo
	if err == nil {
		info, err = t.root.Lstat(resolved)
	}
	// Where a link leads, the name as it is written counts for buildah.
	if err == nil && resolved == path.Clean(name) && resolved != "." && !info.IsDir() {
		var visible bool
		if visible, err = t.ignore.visible(resolved); err == nil && !visible {
			return "", nil, fmt.Errorf("%s is %w: an ignore file hides it", name, ErrMissing)
		}
	}
	if err != nil {
		return "", nil, missing(name, links > 0, err)
	}
	return resolved, info, nil
}

// resolve resolves the links in a name as a build does, for which the context
// is all there is: an absolute target begins at the context's top, and ".."
// doesn't leave it. It calls onLink with each link on the way.
func (t *Tree) resolve(name string, onLink func(link string) error) (string, error) {
	resolved, rest := ".", strings.Split(path.Clean(name), "/")
	links := 0
	for len(rest) > 0 {
		next := rest[0]
		rest = rest[1:]
		switch next {
		case ".", "":
			continue
		case "..":
			resolved = path.Dir(resolved)
			continue
		}
		candidate := join(resolved, next)
		info, err := t.root.Lstat(candidate)
		if notThere(err) {
			// A ".." may still lead out of it: the build cleans paths before it walks them.
			resolved = candidate
			continue
		}
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			resolved = candidate
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: %w", name, syscall.ELOOP)
		}
		if err := onLink(candidate); err != nil {
			return "", err
		}
		target, err := t.root.Readlink(candidate)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			resolved = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return resolved, nil
}
