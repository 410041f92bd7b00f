package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/override"
	"imagecache.dev/internal/runner"
)

// checkOverrideFile checks --override-config, before anything is done.
func (p *prepare) checkOverrideFile() error {
	if p.overrideFile == "" {
		return nil
	}
	if p.builder == builder.Embedded || strings.HasPrefix(p.pull, layoutPrefix) {
		return cli.UsageError("--override-config needs an image in docker or podman, not in a layout")
	}
	folder, err := filepath.Abs(filepath.Dir(p.overrideFile))
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return cli.UsageError("--override-config: %v", err)
	}
	workspace, err := filepath.Abs(p.request.Workspace)
	if err == nil {
		workspace, err = filepath.EvalSymlinks(workspace)
	}
	if err != nil {
		return nil //nolint:nilerr // the preparation reports what is wrong with the workspace
	}
	if _, err := devcontainer.InWorkspace(workspace, folder); !errors.Is(err, devcontainer.ErrOutside) {
		return cli.UsageError("--override-config %s is in the workspace, which is never changed; name a file elsewhere",
			p.overrideFile)
	}
	return nil
}

// writeOverride writes the configuration by which the reference CLI runs a container of the image, and beside it the
// Compose file that it may need. Without an image, and where such a configuration would not be right, that is the
// workspace's own.
func (p *prepare) writeOverride(ctx context.Context, result *runner.Result, events runner.Events) error {
	made, err := p.override(ctx, result)
	if err == nil {
		err = made.WriteCompose()
	}
	if err == nil {
		return environment.ReplaceFile(p.overrideFile, made.Configuration)
	}
	if result.Image != "" {
		text := "the override configuration is the workspace's own, so a container builds: " + err.Error()
		events.Emit(runner.Event{Kind: runner.EventNotice, Text: text})
	}
	content, err := ownConfiguration(result.Configuration)
	if err != nil {
		return err
	}
	return environment.ReplaceFile(p.overrideFile, content)
}

func (p *prepare) override(ctx context.Context, result *runner.Result) (*environment.Overriding, error) {
	engine, err := builder.Find(ctx, cmp.Or(p.pull, p.builder))
	if err != nil {
		return nil, err
	}
	containers, ok := engine.(builder.Containers)
	if !ok {
		return nil, fmt.Errorf("%s runs no containers", engine.Name())
	}
	file, err := filepath.Abs(p.overrideFile)
	if err != nil {
		return nil, fmt.Errorf("write override configuration: %w", err)
	}
	name := fmt.Sprintf("%s-%s.yml", override.ComposeFilePrefix, filepath.Base(file))
	return environment.Override(ctx, containers, result, filepath.Join(filepath.Dir(file), name))
}

// ownConfiguration returns a devcontainer.json as it is.
func ownConfiguration(configuration *devcontainer.Configuration) ([]byte, error) {
	if configuration.Raw != nil {
		return configuration.Raw, nil
	}
	content, err := os.ReadFile(filepath.Join(configuration.Workspace, filepath.FromSlash(configuration.Path)))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return content, nil
}
