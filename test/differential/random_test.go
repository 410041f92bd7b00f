package differential

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/hash/dockerfile"
	"imagecache.dev/internal/hash/files"
	"imagecache.dev/test/engine"
)

// How many random workspaces are built, and how many at once.
const (
	shortSeeds = 20
	longSeeds  = 200
	atOnce     = 2
)

// seedVariable names the environment variable with the one seed to run, or the range of seeds, as "100-200".
const seedVariable = "IMAGECACHE_SEED"

// seedsOf are the seeds of this run.
func seedsOf(t *testing.T) []uint64 {
	t.Helper()
	first, last := 1, shortSeeds
	if long() {
		last = longSeeds
	}
	if text := os.Getenv(seedVariable); text != "" {
		from, to, found := strings.Cut(text, "-")
		if !found {
			to = from
		}
		var err, otherErr error
		first, err = strconv.Atoi(from)
		last, otherErr = strconv.Atoi(to)
		if err := errors.Join(err, otherErr); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	var seeds []uint64
	for seed := first; seed <= last; seed++ {
		seeds = append(seeds, uint64(seed))
	}
	return seeds
}

// TestKeysFollowRandomBuilds builds random workspaces on all engines at once, before and after changes: whenever the
// image of some engine changes, the key changes. And where a workspace has nothing that builders read in several
// ways, each file of the key is in the image of some engine.
//
// IMAGECACHE_SEED=7 runs one workspace again.
func TestKeysFollowRandomBuilds(t *testing.T) {
	machines := startAll(t)
	results := &tally{counts: map[string]int{}}
	t.Run("seeds", func(t *testing.T) {
		turns := make(chan struct{}, atOnce)
		for _, seed := range seedsOf(t) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				turns <- struct{}{}
				defer func() { <-turns }()
				r := &randomTest{seed: seed, machines: machines, tally: results}
				r.run(t)
			})
		}
	})
	t.Log(results)
}

// startAll starts the engines of this machine that have the same base images under the same names.
func startAll(t *testing.T) []*machine {
	t.Helper()
	var machines []*machine
	images := startRegistry(t)
	for _, kind := range kinds {
		// An engine that is missing skips a subtest alone.
		found := false
		t.Run(string(kind), func(t *testing.T) {
			engine.Require(t, kind)
			found = true
		})
		if found {
			machines = append(machines, startMachineFor(t, kind, images))
		}
	}
	if len(machines) == 0 {
		t.Skip("SKIPPED: no engine is there")
	}
	return machines
}

// tally counts results, for people.
type tally struct {
	mutex  sync.Mutex
	counts map[string]int
}

func (c *tally) count(what string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts[what]++
}

func (c *tally) String() string {
	var lines []string
	for what, count := range c.counts {
		lines = append(lines, fmt.Sprintf("%s: %d", what, count))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// randomTest compares one random workspace.
type randomTest struct {
	*generator
	*tally
	seed      uint64
	machines  []*machine
	workspace string
	key       *hash.Key
	images    []*image // of machines
}

func (r *randomTest) run(t *testing.T) {
	r.generator = generate(r.seed, r.machines[0])
	r.workspace = t.TempDir()
	if err := errors.Join(r.write(r.workspace), os.Chmod(r.workspace, 0o755)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s=%d has the Dockerfile\n%s\nargs %q, ignore files %q, links %q, modes %v, files %q; wide for %q",
				seedVariable, r.seed, strings.Join(r.lines, "\n"), r.args, r.ignored, r.targets, r.modes, r.files, r.wide)
		}
	}()
	r.images = r.buildAll(t)
	var err error
	if r.key, err = tryKey(t, r.workspace); err != nil {
		kind := "refused by builders and by the key"
		if slices.ContainsFunc(r.images, func(i *image) bool { return i != nil }) {
			kind = "built without a key (" + errorKind(err) + ")"
			t.Logf("no key: %v", err)
		}
		r.count(kind)
		return
	}
	if !slices.ContainsFunc(r.images, func(i *image) bool { return i != nil }) {
		r.count("a key without a build")
		return
	}
	r.count("compared")
	r.compareMarks(t)
	r.compareChanges(t)
}

// errorKind names the kind of an error, for counting.
func errorKind(err error) string {
	for name, kind := range map[string]error{
		"missing": files.ErrMissing, "special": files.ErrSpecial, "too many": files.ErrTooMany,
		"syntax": dockerfile.ErrSyntax, "outside": devcontainer.ErrOutside, "not there": fs.ErrNotExist,
	} {
		if errors.Is(err, kind) {
			return name
		}
	}
	return err.Error()
}

// buildAll builds on all engines, nil where one fails.
func (r *randomTest) buildAll(t *testing.T) []*image {
	t.Helper()
	images := make([]*image, len(r.machines))
	var group sync.WaitGroup
	for n, m := range r.machines {
		if r.images != nil && r.images[n] == nil {
			continue // it failed before
		}
		group.Go(func() {
			configuration, err := devcontainer.Load(r.workspace, "")
			if err != nil {
				t.Error(err)
				return
			}
			built, err := m.buildDirectly(t.Context(), configuration)
			if err != nil {
				r.count(string(m.Kind) + " failed")
				if testing.Verbose() && os.Getenv(seedVariable) != "" {
					t.Log(err)
				}
				return
			}
			images[n] = built
		})
	}
	group.Wait()
	return images
}

// compareMarks compares the files of the key with those that are in an image.
func (r *randomTest) compareMarks(t *testing.T) {
	held := map[string]bool{}
	for _, input := range r.key.Inputs {
		held[strings.TrimPrefix(input.Path, contextFolder+"/")] = true
	}
	built := 0
	for n, image := range r.images {
		if image == nil {
			continue
		}
		built++
		for _, name := range r.files {
			if image.marks[mark(name)] && !held[name] {
				t.Errorf("%s: %s is in the image, and not in the key", r.machines[n].Kind, name)
			}
		}
	}
	if len(r.wide) > 0 || built < len(r.machines) {
		return
	}
	r.count("precise")
	for _, name := range r.files {
		if held[name] && !slices.ContainsFunc(r.images, func(i *image) bool { return i.marks[mark(name)] }) {
			t.Errorf("%s is in the key, and in no image", name)
		}
	}
}

// change is a change of the workspace, and how it is undone.
type change struct {
	what string
	do   func() (undo func() error, err error)
}

// compareChanges compares after changes; in a short run, after two.
func (r *randomTest) compareChanges(t *testing.T) {
	changes := []change{r.others(), r.addition(), r.removal(), r.chmod()}
	if len(r.links) > 0 {
		changes = append(changes, r.relink())
	}
	if !long() {
		changes = []change{changes[0], changes[1+r.IntN(len(changes)-1)]}
	}
	for _, c := range changes {
		undo, err := c.do()
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		r.compareChange(t, c.what)
		if err := undo(); err != nil {
			t.Fatalf("undo %s: %v", c.what, err)
		}
	}
}

func (r *randomTest) compareChange(t *testing.T, what string) {
	images := r.buildAll(t)
	key, err := tryKey(t, r.workspace)
	if err != nil {
		r.count("no key after a change (" + errorKind(err) + ")")
		return
	}
	for n, image := range images {
		if image == nil {
			continue // an engine that fails makes no image
		}
		r.count("changes")
		if difference := r.images[n].difference(image); difference != "" && key.Hash == r.key.Hash {
			t.Errorf("%s: the image changed with %s, and the key did not:\n%s", r.machines[n].Kind, what, difference)
		}
	}
}

func (r *randomTest) full(name string) string { return filepath.Join(r.workspace, contextFolder, name) }

// others changes all files that the key leaves out.
func (r *randomTest) others() change {
	held := map[string]bool{}
	for _, input := range r.key.Inputs {
		held[strings.TrimPrefix(input.Path, contextFolder+"/")] = true
	}
	left := slices.DeleteFunc(slices.Clone(r.files), func(name string) bool { return held[name] })
	write := func(more string) error {
		var errs []error
		for _, name := range left {
			errs = append(errs, os.WriteFile(r.full(name), []byte(mark(name)+"\n"+more), 0o644))
		}
		return errors.Join(errs...)
	}
	return change{fmt.Sprintf("one of %q", left), func() (func() error, error) {
		return func() error { return write("") }, write("changed")
	}}
}

func (r *randomTest) addition() change {
	name := path.Join(pick(r.generator, r.folders), r.name(100))
	return change{"the new file " + name, func() (func() error, error) {
		return func() error { return os.Remove(r.full(name)) }, os.WriteFile(r.full(name), []byte(mark(name)), 0o644)
	}}
}

func (r *randomTest) removal() change {
	name := pick(r.generator, r.files)
	return change{name + " removed", func() (func() error, error) {
		info, err := os.Stat(r.full(name))
		if err != nil {
			return nil, err
		}
		return func() error { return os.WriteFile(r.full(name), []byte(mark(name)+"\n"), info.Mode()) }, os.Remove(r.full(name))
	}}
}

func (r *randomTest) chmod() change {
	name, mode := pick(r.generator, slices.Concat(r.folders, r.files)), pick(r.generator, []fs.FileMode{0o700, 0o600, 0o755, 0o640})
	if slices.Contains(r.folders, name) {
		mode = 0o700
	}
	return change{fmt.Sprintf("mode %04o of %s", mode, name), func() (func() error, error) {
		info, err := os.Stat(r.full(name))
		if err != nil {
			return nil, err
		}
		return func() error { return os.Chmod(r.full(name), info.Mode().Perm()) }, os.Chmod(r.full(name), mode)
	}}
}

func (r *randomTest) relink() change {
	name := pick(r.generator, r.links)
	target := r.target(name)
	link := func(to string) error { return errors.Join(os.Remove(r.full(name)), os.Symlink(to, r.full(name))) }
	return change{fmt.Sprintf("%s to %q", name, target), func() (func() error, error) {
		return func() error { return link(r.targets[name]) }, link(target)
	}}
}
