package hash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
	"imagecache.dev/internal/hash/files"
)

// features adds the files of local Features and the lockfile.
func (m *maker) features(ctx context.Context, _ *dockerfile.Recipe) error {
	c := m.configuration
	if len(c.Features) == 0 {
		return nil
	}
	if !m.wants(InputFeatures) {
		for _, feature := range c.Features {
			if !feature.Pinned() {
				m.warn(Warning{Code: FeatureNotCovered, Setting: InputFeatures, Path: c.Path}, "what the Feature %s installs is not in the key", feature.ID)
			}
		}
		return nil
	}
	if c.Workspace == "" {
		return fmt.Errorf("%s needs the workspace", InputFeatures)
	}
	locked, err := m.lockfile()
	if err != nil {
		return fmt.Errorf("%s: %w", InputFeatures, err)
	}
	done := map[string]bool{}
	for _, feature := range c.Features {
		switch {
		case feature.Kind == devcontainer.FeatureLocal:
			if done[feature.Path] {
				continue
			}
			done[feature.Path] = true
			if err := m.localFeature(ctx, feature); err != nil {
				return fmt.Errorf("%s: %s: %w", InputFeatures, feature.ID, err)
			}
		case !feature.Pinned() && !locked[feature.ID]:
			m.warn(Warning{Code: FeatureNotCovered, Path: c.Path}, "the Feature %s may be another version tomorrow, under the same hash; commit %s, or name its digest", feature.ID, c.Lockfile)
		}
	}
	return nil
}

func (m *maker) localFeature(ctx context.Context, feature devcontainer.Feature) error {
	root, err := openFolder(m.configuration.Workspace, feature.Path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	tree := files.NewTree(ctx, root, nil, m.options.Limits)
	return m.addEntries(InputFeatures, feature.Path, tree, tree.TakeAll())
}

// lockfile adds the lockfile where there is one, and says which Features it pins:
// https://github.com/devcontainers/spec/blob/main/docs/specs/devcontainer-lockfile.md
func (m *maker) lockfile() (locked map[string]bool, err error) {
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
	var lockfile struct {
		Features map[string]struct{ Integrity string }
	}
	if len(contents) > 0 {
		if err := json.Unmarshal(contents, &lockfile); err != nil {
			return nil, fmt.Errorf("read lockfile %s: %w", c.Lockfile, err)
		}
	}
	locked = map[string]bool{}
	for id, feature := range lockfile.Features {
		locked[id] = feature.Integrity != ""
	}
	return locked, nil
}
