// Package prebuild builds the images of a workspace ahead: each configuration for each platform, several at once.
package prebuild

import (
	"cmp"
	"path"
	"strings"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/runner"
)

// Item is one image to build: a configuration for a platform.
type Item struct {
	// Config is the configuration's path, relative to the workspace.
	Config string
	// Platform is the image's platform; empty for the default.
	Platform string
}

// Items returns the images of a workspace. configs are the paths of its configurations, relative to it; none means all
// that it has. No platform means the default one. The error is a runner.UsageError, or devcontainer.ErrNotFound.
func Items(workspace string, configs, platforms []string) ([]Item, error) {
	if len(configs) == 0 {
		var err error
		if configs, err = devcontainer.List(workspace); err != nil {
			return nil, err
		}
	} else {
		for i, config := range configs {
			found, err := devcontainer.Find(workspace, config)
			if err != nil {
				return nil, err
			}
			configs[i] = found
		}
	}
	if len(configs) == 0 {
		_, err := devcontainer.Find(workspace, "")
		return nil, err
	}
	if len(platforms) == 0 {
		platforms = []string{""}
	}
	var items []Item
	seen := map[Item]bool{}
	for _, config := range configs {
		for _, platform := range platforms {
			item := Item{config, platform}
			if !seen[item] {
				items = append(items, item)
			}
			seen[item] = true
		}
	}
	return items, nil
}

// Name names an item for a person: the folder of its configuration below .devcontainer, or the path of a configuration
// in one of the usual places, and the platform where one was asked for.
func (i Item) Name() string {
	name := i.Config
	if folder := path.Dir(i.Config); path.Dir(folder) == ".devcontainer" {
		name = path.Base(folder)
	}
	if i.Platform != "" {
		name += " " + i.Platform
	}
	return name
}

// Row is what an item came to.
type Row struct {
	Item
	// Result is nil if the prebuild failed.
	Result *runner.Result
	Err    error
}

// Outcome is what the row's item came to, in a word.
func (r Row) Outcome() string {
	switch {
	case r.Err != nil:
		return "Failed"
	case r.Result.Outcome == runner.OutcomePublished && strings.HasPrefix(r.Result.Reason, "Refresh"):
		return "Replaced"
	}
	return string(r.Result.Outcome)
}

// Reason tells why, in a sentence; it may be empty.
func (r Row) Reason() string {
	if r.Err != nil {
		return strings.Join(strings.Fields(r.Err.Error()), " ")
	}
	return cmp.Or(r.Result.Reason, "")
}
