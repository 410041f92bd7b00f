package environment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/override"
	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/tempfolder"
)

// Environment is the place of a dev container.
type Environment struct {
	engine    builder.Containers
	events    runner.Events
	arguments Arguments
	location  location
}

// New returns the environment of a workspace. configPath is relative to the workspace, absolute, or "" for the usual
// places.
func New(
	engine builder.Containers, events runner.Events, workspace, configPath string, arguments Arguments,
) (*Environment, error) {
	at, err := locate(workspace, configPath)
	if err != nil {
		return nil, err
	}
	return &Environment{engine: engine, events: events, arguments: arguments, location: at}, nil
}

// Exists reports whether the environment's container exists and stays. The reference CLI then starts it, and reads no
// image.
func (e *Environment) Exists(ctx context.Context) (bool, error) {
	if e.arguments.RemoveExisting {
		return false, nil
	}
	if len(e.arguments.IDLabels) > 0 {
		found, err := e.engine.ContainerLabels(ctx, e.arguments.IDLabels)
		return len(found) > 0, err
	}
	labels, err := e.location.labels()
	if err != nil {
		return false, err
	}
	found, err := e.engine.ContainerLabels(ctx, labels[:1])
	for _, of := range found {
		// Containers of older versions of the CLI don't have the second label.
		if named := of[configLabel]; named == "" || configLabel+"="+named == labels[1] {
			return true, nil
		}
	}
	return false, err
}

// Up brings the container up. A result with an image is what the cache provided; nil means that the cache was not
// asked. The answer is not nil if the reference CLI gave one, also if its lifecycle commands failed.
func (e *Environment) Up(ctx context.Context, result *runner.Result) (*builder.UpAnswer, error) {
	request := builder.UpRequest{
		Workspace: e.location.workspace, ConfigPath: e.location.config, Arguments: e.arguments.Words,
		MayBuildFeatures: e.arguments.AdditionalFeatures || e.arguments.OtherBuild != "",
	}
	if result != nil {
		folder, err := e.use(ctx, result, &request)
		defer func() { _ = folder.Remove() }()
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			request.Override = ""
			request.MayBuildFeatures = mayBuildFeatures(result.Configuration)
			if result.Image != "" {
				e.notice("the container is made as if the cache did not exist: " + err.Error())
			}
		}
	}
	return e.run(ctx, request)
}

// use makes a request use the image of a result. The caller removes the folder.
func (e *Environment) use(
	ctx context.Context, result *runner.Result, request *builder.UpRequest,
) (*tempfolder.Folder, error) {
	extra, err := e.extraComposeFile(result)
	if err != nil {
		return nil, err
	}
	made, err := Override(ctx, e.engine, result, extra)
	if err != nil {
		return nil, err
	}
	made.ComposeContent = e.withWorkspace(made.ComposeContent)
	if err := made.WriteCompose(); err != nil {
		return nil, err
	}
	folder, err := tempfolder.New(tempfolder.Override)
	if err != nil {
		return nil, err
	}
	request.Override = filepath.Join(folder.Path, "devcontainer.json")
	if err := os.WriteFile(request.Override, made.Configuration, 0o600); err != nil {
		return folder, fmt.Errorf("write override configuration: %w", err)
	}
	request.KeepIDs = !e.arguments.UserIDs && e.keepsIDs(ctx, result.Configuration, made.Image)
	return folder, nil
}

// maxAccounts limits /etc/passwd of an image, in bytes.
const maxAccounts = 1 << 20

// keepsIDs reports whether the reference CLI's build that changes the IDs of the container's user would change nothing.
func (e *Environment) keepsIDs(
	ctx context.Context, configuration *devcontainer.Configuration, image override.Image,
) bool {
	user := override.RenumberedUser(configuration, image)
	if user == "" || runtime.GOOS != "linux" {
		return false // there is no such build
	}
	accounts, err := e.engine.ReadFile(ctx, image.Name, "/etc/passwd", maxAccounts)
	uid, gid := builder.LocalUser()
	return err == nil && override.KeepsIDs(accounts, user, uid, gid)
}

func mayBuildFeatures(configuration *devcontainer.Configuration) bool {
	return configuration == nil || configuration.Type == devcontainer.TypeUnknown || len(configuration.Features) > 0
}

// stepName is the name of the step in events.
const stepName = "Container"

func (e *Environment) run(ctx context.Context, request builder.UpRequest) (*builder.UpAnswer, error) {
	e.events.Emit(runner.Event{
		Kind: runner.EventStarted, Step: stepName, Text: "Starting the container with " + e.engine.Name(),
	})
	output := runner.NewOutput(e.events, stepName)
	request.Logs = output
	began := time.Now()
	answer, err := e.engine.Up(ctx, request)
	output.Flush()
	end := runner.Event{Kind: runner.EventFinished, Step: stepName, Seconds: time.Since(began).Seconds()}
	if err != nil {
		end.Kind, end.Text = runner.EventFailed, "The container did not come up"
		switch {
		case ctx.Err() != nil:
			end.Text = "interrupted; a container that was started stays"
		case answer != nil && answer.ContainerID != "":
			end.Text = "Container " + ShortID(answer.ContainerID) + " is not ready"
		}
	} else {
		end.Text = "Started container " + ShortID(answer.ContainerID)
	}
	e.events.Emit(end)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return answer, err
}

// ShortID returns the beginning of a container's ID, as docker and podman show it.
func ShortID(id string) string { return id[:min(len(id), 12)] }

func (e *Environment) notice(text string) {
	e.events.Emit(runner.Event{Kind: runner.EventNotice, Text: text})
}
