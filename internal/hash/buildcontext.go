package hash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
	"imagecache.dev/internal/hash/files"
)

// buildContext adds the files that the build takes from its contexts.
func (m *maker) buildContext(ctx context.Context, recipe *dockerfile.Recipe) error {
	c := m.configuration
	if len(recipe.Sources) == 0 {
		return nil
	}
	if !m.wants(InputBuildContext) {
		first := recipe.Sources[0]
		m.warn(Warning{Code: BuildContextNotCovered, Setting: InputBuildContext, Path: c.Dockerfile, Line: first.Line},
			"the build takes files from its context (%s), which are not in the key", sourceName(first))
		return nil
	}
	if c.Workspace == "" {
		return fmt.Errorf("%s needs the workspace", InputBuildContext)
	}
	for name, sources := range byContext(recipe.Sources) {
		take := m.mainContext
		if name != "" {
			take = m.namedContext
		}
		if err := take(ctx, name, sources); err != nil {
			return fmt.Errorf("%s: %w", InputBuildContext, err)
		}
	}
	return nil
}

// mainContext adds what sources take from the build context.
func (m *maker) mainContext(ctx context.Context, _ string, sources []dockerfile.Source) error {
	folder := m.configuration.Context
	root, err := openFolder(m.configuration.Workspace, folder)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	defer func() { _ = root.Close() }()
	ignore, err := m.ignored(root, folder)
	if err != nil {
		return err
	}
	if m.service != nil {
		for _, file := range ignore.Differing() {
			place := file.Path
			if !file.Own {
				place = path.Join(folder, place)
			}
			m.add(contentInput(InputIgnoreFile, place, file.Contents))
		}
	}
	return m.takeSources(ctx, root, folder, ignore, sources)
}

// namedContext adds what sources take from a named context, whose folder is
// relative to the workspace. Some versions of buildah take no notice of ignore
// files there.
func (m *maker) namedContext(ctx context.Context, name string, sources []dockerfile.Source) error {
	folder, err := devcontainer.InWorkspace(m.configuration.Workspace, name)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	root, err := openFolder(m.configuration.Workspace, folder)
	if err != nil {
		return fmt.Errorf("build context: %w", err)
	}
	defer func() { _ = root.Close() }()
	return m.takeSources(ctx, root, folder, nil, sources)
}

func (m *maker) takeSources(
	ctx context.Context, root *os.Root, folder string, ignore *files.Ignore, sources []dockerfile.Source,
) error {
	var err error
	tree := files.NewTree(ctx, root, ignore, m.options.Limits)
	for _, source := range sources {
		if err = tree.Take(source); err != nil {
			err = fmt.Errorf("%s line %d: %w", m.configuration.Dockerfile, source.Line, err)
			break
		}
	}
	return m.addEntries(InputBuildContext, folder, tree, err)
}

// ignored returns what the build does not see of its context.
func (m *maker) ignored(root *os.Root, folder string) (*files.Ignore, error) {
	if !m.direct() {
		m.warnOfOwnIgnoreFile(root, folder)
		return files.ReadIgnore(root)
	}
	workspace, err := os.OpenRoot(m.configuration.Workspace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = workspace.Close() }()
	return files.ReadIgnoreBeside(root, workspace, m.configuration.Dockerfile)
}

// warnOfOwnIgnoreFile warns of an ignore file that BuildKit would use, and
// doesn't in a dev container's build.
func (m *maker) warnOfOwnIgnoreFile(root *os.Root, folder string) {
	c := m.configuration
	relative, found := c.Dockerfile, true
	if folder != "." {
		relative, found = strings.CutPrefix(c.Dockerfile, folder+"/")
	}
	own := relative + ".dockerignore"
	if _, err := root.Stat(own); found && err == nil {
		m.warn(
			Warning{Code: IgnoreFileNotUsed, Path: path.Join(folder, own)},
			"%s hides nothing: the reference CLI builds a copy of the Dockerfile from elsewhere; name it .dockerignore, at the context's top",
			own,
		)
	}
}

// modes are the entries' kinds, as they go into the key.
var modes = map[files.Kind]Mode{
	files.File: ModeFile, files.Executable: ModeExecutable, files.Symlink: ModeSymlink,
	files.Folder: ModeFolder,
}

// modeOf is an entry's mode. A build gives everybody the right to read and to
// execute a Feature's files, so their rights don't count.
func modeOf(name string, entry *files.Entry) Mode {
	mode := modes[entry.Kind]
	if name == InputFeatures || entry.UsualRights() {
		return mode
	}
	return mode + Mode(fmt.Sprintf("%s%02o", rightsMark, uint32(entry.Others)))
}

// addEntries ends a tree and adds its entries with their paths in the
// workspace. taken is the error of taking them.
func (m *maker) addEntries(name, folder string, tree *files.Tree, taken error) error {
	entries, err := tree.Finish()
	if err != nil {
		return err // what was being digested failed first
	}
	if taken != nil {
		return taken
	}
	m.key.Inputs = slices.Grow(m.key.Inputs, len(entries))
	for i := range entries {
		entry := &entries[i]
		place := path.Join(folder, entry.Path)
		if place == "." {
			place = "" // the workspace's own folder
		}
		m.add(Input{
			Name:      name,
			Path:      place,
			Mode:      modeOf(name, entry),
			SizeBytes: entry.SizeBytes,
			Digest:    ocidigest.NewDigestFromBytes(ocidigest.SHA256, entry.Sum[:]).String(),
		})
	}
	return nil
}

// openFolder opens a folder of a workspace, in which symbolic links may lead
// to other folders of the workspace and nowhere else.
func openFolder(workspace, folder string) (*os.Root, error) {
	if devcontainer.Outside(folder) {
		return nil, fmt.Errorf("%s is %w", folder, devcontainer.ErrOutside)
	}
	root, err := os.OpenRoot(workspace)
	if err != nil {
		return nil, err
	}
	opened, err := root.OpenRoot(folder)
	return opened, errors.Join(err, root.Close())
}

// byContext yields the sources of each context, in the order of their first use.
func byContext(sources []dockerfile.Source) func(yield func(string, []dockerfile.Source) bool) {
	return func(yield func(string, []dockerfile.Source) bool) {
		var names []string
		grouped := map[string][]dockerfile.Source{}
		for _, source := range sources {
			if _, found := grouped[source.Context]; !found {
				names = append(names, source.Context)
			}
			grouped[source.Context] = append(grouped[source.Context], source)
		}
		for _, name := range names {
			if !yield(name, grouped[name]) {
				return
			}
		}
	}
}

func sourceName(source dockerfile.Source) string {
	if source.Path == "." {
		return "all of it"
	}
	return source.Path
}
