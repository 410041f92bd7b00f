package files

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"imagecache.dev/internal/hash/dockerfile"
)

// anyDepth is a pattern's element that buildah takes for any number of
// folders, none included, from version 1.38 on. To BuildKit it is "*".
const anyDepth = "**"

// glob returns the visible names that some builder matches by a pattern. What
// is in a match is not looked at.
//
// BuildKit matches each element by path.Match. Buildah also matches what is
// below a link to a folder, and anyDepth.
func (t *Tree) glob(pattern string) ([]string, error) {
	elements := strings.Split(path.Clean(pattern), "/")
	for _, element := range elements {
		if _, err := path.Match(element, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	// Of several elements of any depth one says as much as all.
	elements = slices.CompactFunc(elements, func(a, b string) bool { return a == anyDepth && b == anyDepth })
	first := slices.IndexFunc(elements, dockerfile.HasWildcards)
	if first < 0 {
		return []string{path.Clean(pattern)}, nil
	}
	g := &glob{tree: t, found: map[string]bool{}, visited: map[string]bool{}}
	top, info, err := t.follow(path.Join(append([]string{"."}, elements[:first]...)...))
	if errors.Is(err, ErrMissing) || err == nil && !info.IsDir() {
		return nil, nil // buildah takes the other sources
	}
	if err != nil {
		return nil, err
	}
	if err := g.folder(top, elements[first:], 0); err != nil {
		return nil, err
	}
	return g.names, nil
}

// glob gathers the names that one pattern matches.
type glob struct {
	tree  *Tree
	names []string
	found map[string]bool
	// visited are the folders with the elements that were matched in them:
	// links and elements of any depth lead to one folder in many ways.
	visited map[string]bool
}

// folder matches the elements of a pattern in a folder. links counts the links
// that led there.
func (g *glob) folder(folder string, elements []string, links int) error {
	place := folder + "\x00" + strings.Join(elements, "/")
	if g.visited[place] {
		return nil
	}
	g.visited[place] = true
	above, err := g.tree.ignoredAbove(folder)
	if err != nil {
		return err
	}
	children, err := g.tree.list(folder)
	if err != nil {
		return err
	}
	if elements[0] == anyDepth && len(elements) > 1 {
		if err := g.folder(folder, elements[1:], links); err != nil {
			return err
		}
	}
	for _, child := range children {
		entry := visit{path: join(folder, child.name), kind: kindOf(child.mode)}
		visible, inside, _, err := g.tree.ignore.match(entry.path, above)
		if err != nil {
			return err
		}
		if !visible && (!inside || entry.kind != Folder) {
			continue
		}
		entry.visible = visible
		if err := g.child(entry, elements, links); err != nil {
			return err
		}
	}
	return nil
}

// child matches one name in a folder by the first element, and what is below
// it by the others.
func (g *glob) child(entry visit, elements []string, links int) error {
	if elements[0] == anyDepth && entry.kind == Folder {
		if err := g.folder(entry.path, elements, links); err != nil {
			return err
		}
	}
	matched, err := path.Match(elements[0], path.Base(entry.path))
	if err != nil || !matched {
		return err
	}
	if len(elements) > 1 {
		return g.below(entry, elements[1:], links)
	}
	// An ignored folder is there for what in it is not ignored.
	if (entry.visible || entry.kind == Folder) && !g.found[entry.path] {
		g.found[entry.path] = true
		g.names = append(g.names, entry.path)
	}
	return nil
}

// below matches in a folder, or where a link leads to one, as buildah does.
func (g *glob) below(entry visit, elements []string, links int) error {
	switch {
	case entry.kind == Folder:
		return g.folder(entry.path, elements, links)
	case entry.kind != Symlink || links >= maxLinks:
		return nil
	}
	var passed []string
	resolved, err := g.tree.resolve(entry.path, func(link string) error {
		passed = append(passed, link)
		return nil
	})
	if err != nil || !g.tree.isFolder(resolved) {
		return nil //nolint:nilerr // nothing is below it
	}
	before := len(g.names)
	if err := g.folder(resolved, elements, links+1); err != nil || len(g.names) == before {
		return err
	}
	for _, link := range passed {
		if err := g.tree.add(link, Symlink); err != nil {
			return err
		}
	}
	return nil
}

// list lists a folder, and remembers it: patterns look at one folder many times.
func (t *Tree) list(folder string) ([]child, error) {
	if children, found := t.listed[folder]; found {
		return children, nil
	}
	root, err := t.root.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	defer func() { _ = root.Close() }()
	children, err := t.readFolder(root, folder)
	if err != nil {
		return nil, err
	}
	t.listed[folder] = children
	return children, nil
}

// isFolder reports whether a name without links is a folder.
func (t *Tree) isFolder(name string) bool {
	info, err := t.root.Lstat(name)
	return err == nil && info.IsDir()
}
