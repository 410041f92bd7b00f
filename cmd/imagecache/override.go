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

// writeOverride writes the configuration by which the reference CLI runs a container of the image. Without an image,
// and where such a configuration would not be right, that is the workspace's own.
func (p *prepare) writeOverride(ctx context.Context, result *runner.Result, events runner.Events) error {
	content, err := p.override(ctx, result)
	if err != nil {
		if result.Image != "" {
			text := "the override configuration is the workspace's own, so a container builds: " + err.Error()
			events.Emit(runner.Event{Kind: runner.EventNotice, Text: text})
		}
		if content, err = ownConfiguration(result.Configuration); err != nil {
			return err
		}
	}
	return replaceFile(p.overrideFile, content)
}

func (p *prepare) override(ctx context.Context, result *runner.Result) ([]byte, error) {
	engine, err := builder.Find(ctx, cmp.Or(p.pull, p.builder))
	if err != nil {
		return nil, err
	}
	containers, ok := engine.(builder.Containers)
	if !ok {
		return nil, fmt.Errorf("%s runs no containers", engine.Name())
	}
	content, _, err := environment.Override(ctx, containers, result)
	return content, err
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

// replaceFile writes a file in one step.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write override configuration: %w", err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(0o644), file.Close()) // the reference CLI may run as another user
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write override configuration: %w", err), os.Remove(file.Name()))
	}
	return nil
}
