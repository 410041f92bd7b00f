package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/moby/patternmatcher"

	"imagecache.dev/internal/hash/dockerfile"
)

// Tree is a folder as a build sees it. While entries are found, others are
// digested. It is not safe for concurrent use.
type Tree struct {
	root   *os.Root
	ignore *Ignore
	limits Limits
	*selection
}

// selection is what was taken of a tree so far, with and without its ignore files.
type selection struct {
	found map[string]struct{}
	// whole has the folders of which everything was taken: true, or everything
	// that is not ignored: false.
	whole   map[string]bool
	listed  map[string][]child // what patterns looked at
	visited int
	digests *digests
}

// NewTree starts with an empty selection. ignore hides entries; nil hides
// none. Finish must be called.
func NewTree(ctx context.Context, root *os.Root, ignore *Ignore, limits Limits) *Tree {
	return &Tree{root: root, ignore: ignore, limits: limits, selection: &selection{
		found: map[string]struct{}{}, whole: map[string]bool{}, listed: map[string][]child{},
		digests: startDigests(ctx, root, limits),
	}}
}

// unignored is the same tree, of which nothing is ignored.
func (t *Tree) unignored() *Tree {
	return &Tree{root: t.root, limits: t.limits, selection: t.selection}
}

// Finish waits for the digests and returns all entries that were taken.
func (t *Tree) Finish() ([]Entry, error) {
	return t.digests.finish()
}

// TakeAll takes everything that is visible.
func (t *Tree) TakeAll() error {
	return t.Take(dockerfile.Source{Path: "."})
}

// Take adds what one source names, by the rules by which some builder copies:
// https://docs.docker.com/reference/dockerfile/#copy
func (t *Tree) Take(source dockerfile.Source) error {
	if source.Mount {
		return t.unignored().takeMount(source)
	}
	names := []string{source.Path}
	if source.Wildcards {
		var err error
		if names, err = t.globTwice(source.Path); err != nil {
			return err
		}
	}
	filter, err := newFilter(source)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.takeName(name, filter); err != nil && (!source.Optional || !errors.Is(err, ErrMissing)) {
			return err
		}
	}
	return nil
}

// takeMount takes what RUN --mount names, as buildah mounts it: from a tree
// without ignore files. A step also sees the rights of the mounted folder itself, which
// COPY does not take. So that folder is an entry where they are unusual.
func (t *Tree) takeMount(source dockerfile.Source) error {
	resolved, info, err := t.follow(source.Path)
	if err != nil {
		return err
	}
	if top := (Entry{Path: resolved, Kind: Folder, Others: info.Mode() & readBits[Folder]}); info.IsDir() &&
		!top.UsualRights() {
		if err := t.addEntry(top.Path, top.Kind); err != nil {
			return err
		}
	}
	return t.takeName(source.Path, nil)
}

// globTwice returns the names that a pattern matches, and those that their
// names match as patterns: buildah looks twice.
func (t *Tree) globTwice(pattern string) ([]string, error) {
	names, err := t.glob(pattern)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Clone(names) {
		if !dockerfile.HasWildcards(name) {
			continue
		}
		again, err := t.glob(name)
		if err != nil {
			continue // a name that is no pattern matches nothing more
		}
		names = append(names, again...)
	}
	return names, nil
}

// takeName takes a file, or what is in a folder. Links on the way there, and
// the name itself, are followed as the build does it, and are part of the key.
func (t *Tree) takeName(name string, filter *filter) error {
	resolved, info, err := t.follow(name)
	if err != nil {
		return err
	}
	if resolved != path.Clean(name) {
		// Buildah holds the name as it is written against ignore files.
		t = t.unignored()
	}
	kind := kindOf(info.Mode())
	if kind != Folder {
		return t.add(resolved, kind)
	}
	if filter == nil {
		if t.tookWhole(resolved) {
			return nil
		}
		t.whole[resolved] = t.ignore == nil
	}
	return t.walk(resolved, func(entry visit) (bool, error) {
		wanted, below, err := filter.match(entry)
		if err != nil {
			return false, err
		}
		if wanted && entry.visible {
			if err := t.addBelow(resolved, entry); err != nil {
				return false, err
			}
		}
		return below, nil
	})
}

// tookWhole reports whether all that the tree shows of a folder was taken,
// with that folder or with one that it is in.
func (t *Tree) tookWhole(folder string) bool {
	for {
		withIgnored, took := t.whole[folder]
		if took && (withIgnored || t.ignore != nil) {
			return true
		}
		if folder == "." {
			return false
		}
		folder = path.Dir(folder)
	}
}

// addBelow adds an entry and, so that an ignored or filtered folder is there
// for what it holds, the folders on the way from the top.
func (t *Tree) addBelow(top string, entry visit) error {
	for parent := path.Dir(entry.path); parent != "." && parent != top; parent = path.Dir(parent) {
		if _, found := t.found[parent]; found {
			break
		}
		if err := t.add(parent, Folder); err != nil {
			return err
		}
	}
	return t.add(entry.path, entry.kind)
}

// add adds an entry below the tree's top.
func (t *Tree) add(name string, kind Kind) error {
	if name == "." {
		return nil
	}
	return t.addEntry(name, kind)
}

func (t *Tree) addEntry(name string, kind Kind) error {
	if _, found := t.found[name]; found {
		return nil
	}
	if kind == special {
		return fmt.Errorf("%s: %w", name, ErrSpecial)
	}
	t.found[name] = struct{}{}
	if err := t.limits.checkEntries(len(t.found)); err != nil {
		return err
	}
	return t.digests.add(Entry{Path: name, Kind: kind})
}

// special is what can't be taken: a device, a fifo or a socket.
const special Kind = ""

func kindOf(mode fs.FileMode) Kind {
	switch mode.Type() {
	case 0:
		return File
	case fs.ModeDir:
		return Folder
	case fs.ModeSymlink:
		return Symlink
	}
	return special
}

// filter is what --exclude and --parents leave of a folder; nil leaves all.
type filter struct {
	include, exclude *patternmatcher.PatternMatcher
}

func newFilter(source dockerfile.Source) (*filter, error) {
	f := &filter{}
	var includeErr, excludeErr error
	if source.Include != "" && source.Include != "." {
		f.include, includeErr = patternmatcher.New([]string{source.Include})
	}
	if len(source.Exclude) > 0 {
		f.exclude, excludeErr = patternmatcher.New(source.Exclude)
	}
	if err := errors.Join(includeErr, excludeErr); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	if f.include == nil && f.exclude == nil {
		return nil, nil
	}
	return f, nil
}

// match reports whether an entry is taken, and whether to look below it.
func (f *filter) match(entry visit) (wanted, below bool, err error) {
	if f == nil {
		return true, true, nil
	}
	included, excluded := true, false
	if f.include != nil {
		if included, err = f.include.MatchesOrParentMatches(entry.below); err != nil {
			return false, false, err
		}
	}
	if f.exclude != nil {
		if excluded, err = f.exclude.MatchesOrParentMatches(entry.below); err != nil {
			return false, false, err
		}
		// Buildah held the pattern against the path from the context's top up to version 1.43.
		if excluded && entry.below != entry.path {
			if excluded, err = f.exclude.MatchesOrParentMatches(entry.path); err != nil {
				return false, false, err
			}
		}
	}
	return included && !excluded, !excluded || f.exclude.Exclusions(), nil
}
