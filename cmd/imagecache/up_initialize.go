package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/jsonc"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// afterInitialize returns the result of a preparation whose build failed, if the container may come up nonetheless: the
// reference CLI runs initializeCommand before it builds, and that command may write files that the build needs. The
// preparation builds without it. afterInitialize returns nil if the failure is final.
func (u *up) afterInitialize(events runner.Events, failure error) *runner.Result {
	var failed *builder.BuildError
	if !errors.As(failure, &failed) && !errors.Is(failure, fs.ErrNotExist) {
		return nil
	}
	configuration, err := devcontainer.Locate(u.request.Workspace, u.request.ConfigPath)
	if err != nil || !hasInitializeCommand(configuration) {
		return nil
	}
	events.Emit(runner.Event{
		Kind: runner.EventNotice,
		Text: "the image can't be built before initializeCommand has run, so devcontainer up builds it: " + failure.Error(),
	})
	return &runner.Result{
		Outcome: runner.OutcomeBypassed, Reason: "InitializeCommand: " + message.Redact(failure.Error()),
		Project: u.request.Project, Environment: u.request.Environment, Configuration: configuration,
	}
}

// hasInitializeCommand reads the property alone: a file that the configuration names may not exist yet.
func hasInitializeCommand(configuration *devcontainer.Configuration) bool {
	const maxNesting = 200
	content, err := os.ReadFile(filepath.Join(configuration.Workspace, filepath.FromSlash(configuration.Path)))
	if err != nil {
		return false
	}
	root, _, err := jsonc.Parse(content, maxNesting)
	return err == nil && root.Member("initializeCommand").Truthy()
}
