package hash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
	"imagecache.dev/internal/hash/files"
)

// features adds the files of local Features and the lockfile. It follows what
// Features depend on.
func (m *maker) features(ctx context.Context, _ *dockerfile.Recipe) error {
	c := m.configuration
	if len(c.Features) == 0 {
		return nil
	}
	if !m.wants(InputFeatures) {
		lockfile := m.lockfileUnread()
		for _, feature := range c.Features {
			// A lockfile's digest counts more than the reference's own.
			if !feature.Pinned() || lockfile[feature.Resolved].Integrity != "" {
				m.warn(
					Warning{Code: FeatureNotCovered, Setting: InputFeatures, Path: c.Path},
					"what the Feature %s installs is not in the key", feature.ID,
				)
			}
		}
		return nil
	}
	if c.Workspace == "" {
		return fmt.Errorf("%s needs the workspace", InputFeatures)
	}
	lockfile, err := m.lockfile()
	if err != nil {
		return fmt.Errorf("%s: %w", InputFeatures, err)
	}
	w := featureWalk{maker: m, lockfile: lockfile, done: map[string]bool{}}
	for _, feature := range c.Features {
		if err := w.visit(ctx, feature, ""); err != nil {
			return fmt.Errorf("%s: %s: %w", InputFeatures, feature.ID, err)
		}
	}
	return nil
}

// featureWalk goes through Features and what they depend on, each once.
type featureWalk struct {
	*maker
	lockfile devcontainer.Lockfile
	done     map[string]bool
}

// visit takes one Feature and what it depends on. of is the Feature that
// depends on it, "" where the configuration names it.
func (w *featureWalk) visit(ctx context.Context, feature devcontainer.Feature, of string) error {
	id := feature.Resolved
	if feature.Kind == devcontainer.FeatureLocal {
		id = feature.Path
	}
	if w.done[id] {
		return nil
	}
	w.done[id] = true
	dependencies, err := w.take(ctx, feature, of)
	if err != nil {
		return err
	}
	for _, dependency := range dependencies {
		// The reference CLI takes every path from the configuration's folder.
		next := devcontainer.FeatureOf(dependency, path.Dir(w.configuration.Path))
		if err := w.visit(ctx, next, feature.ID); err != nil {
			return fmt.Errorf("dependency %s of %s: %w", dependency, feature.ID, err)
		}
	}
	return nil
}

// take adds what one Feature takes from the workspace, or warns of what the
// key lacks, and returns the IDs of the Features that it depends on.
func (w *featureWalk) take(ctx context.Context, feature devcontainer.Feature, of string) ([]string, error) {
	if feature.Kind == devcontainer.FeatureLocal {
		return w.localFeature(ctx, feature)
	}
	name := feature.ID
	if of != "" {
		name += ", which " + of + " depends on,"
	}
	locked, found := w.lockfile[feature.Resolved]
	switch {
	case found && feature.Lockable() && (locked.Integrity != "" || feature.Pinned()):
		return locked.DependsOn, nil
	case feature.Pinned():
		w.warn(Warning{Code: FeatureDependenciesUnknown, Path: w.configuration.Path},
			"what the Feature %s depends on is not in the key; commit %s", name, w.configuration.Lockfile)
	default:
		w.warn(
			Warning{Code: FeatureNotCovered, Path: w.configuration.Path},
			"the Feature %s may be another version tomorrow, under the same hash; commit %s, or name its digest", name,
			w.configuration.Lockfile,
		)
	}
	return nil, nil
}

// localFeature adds the files of a local Feature.
func (m *maker) localFeature(ctx context.Context, feature devcontainer.Feature) (dependencies []string, err error) {
	root, err := openFolder(m.configuration.Workspace, feature.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	tree := files.NewTree(ctx, root, nil, m.options.Limits)
	if err := m.addEntries(InputFeatures, feature.Path, tree, tree.TakeAll()); err != nil {
		return nil, err
	}
	contents, err := devcontainer.ReadFile(root, devcontainer.FeatureFile, devcontainer.MaxConfigurationBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return devcontainer.FeatureDependencies(path.Join(feature.Path, devcontainer.FeatureFile), contents)
}

// lockfileUnread returns what the lockfile pins without adding it to the key;
// nothing where it can't be read.
func (m *maker) lockfileUnread() devcontainer.Lockfile {
	if m.configuration.Workspace == "" {
		return nil
	}
	other := maker{configuration: m.configuration, key: &Key{}}
	lockfile, err := other.lockfile()
	if err != nil {
		return nil
	}
	return lockfile
}

// lockfile adds the lockfile where one exists, and returns what it pins.
func (m *maker) lockfile() (devcontainer.Lockfile, error) {
	c := m.configuration
	root, err := os.OpenRoot(c.Workspace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	contents, err := devcontainer.ReadFile(root, c.Lockfile, devcontainer.MaxConfigurationBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lockfile: %w", err)
	}
	m.add(contentInput(InputFeatures, c.Lockfile, contents))
	lockfile, err := devcontainer.ParseLockfile(contents)
	if err != nil {
		return nil, fmt.Errorf("read lockfile %s: %w", c.Lockfile, err)
	}
	return lockfile, nil
}
