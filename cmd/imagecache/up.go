package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/runner"
)

// up holds the command's flags.
type up struct {
	prepare
	removeExisting bool
}

func newUp(streams cli.Streams) *cobra.Command {
	u := &up{prepare: prepare{streams: streams, clock: clock.RealClock{}}}
	command := &cobra.Command{
		Use:   "up WORKSPACE [flags] [-- ARGUMENTS of devcontainer up]",
		Short: "Bring up an environment's dev container, with its image from the cache",
		Long: `Bring up an environment's dev container: provide its image as imagecache prepare does, and run devcontainer up with it.

On a hit nothing is built, and Features are not installed again. The container is the one that devcontainer up makes
without the cache: mounts, ports, users, variables, customizations and lifecycle commands are the same, and each
lifecycle command runs as often. If the cache can't be used, the container comes up as if the cache did not exist.

Of a Docker Compose configuration, each service that is built gets its image from the cache, if the project's
spec.compose is Cached; with docker, buildx and Docker Compose 2.24 or later.

A container of the workspace that exists is started as it is, without asking the cache. To make it anew, use
--trigger Rebuild --remove-existing-container.

` + upExitHelp,
		Example: `  # from a checkout to a running dev container
  imagecache up . --project web --environment env-1

  # the container's ID and its folder, for a script
  imagecache up . --project web --environment env-1 -o json | jq -r '.containerId, .remoteWorkspaceFolder'

  # rebuild the environment
  imagecache up . --project web --environment env-1 --trigger Rebuild --remove-existing-container

  # return as soon as the container is ready; another process publishes a new image
  imagecache up . --project web --environment env-1 --publish background

  # with arguments of devcontainer up
  imagecache up . --project web --environment env-1 -- --secrets-file /run/secrets.json --skip-post-attach`,
		Args: func(command *cobra.Command, args []string) error {
			if before := command.ArgsLenAtDash(); before >= 0 {
				args = args[:before]
			}
			return cobra.ExactArgs(1)(command, args)
		},
		RunE: func(command *cobra.Command, args []string) error { return u.run(command.Context(), args[0], args[1:]) },
	}
	u.addFlags(command)
	u.cluster = cli.AddClusterFlags(command)
	_ = command.RegisterFlagCompletionFunc("project", cli.CompleteProjects(u.cluster))
	return command
}

func (u *up) addFlags(command *cobra.Command) {
	u.addRequestFlags(command.Flags())
	flags := command.Flags()
	flags.StringVar(&u.builder, "builder", "", "the engine: docker or podman (default the first that is available)")
	flags.BoolVar(&u.removeExisting, "remove-existing-container", false, "make the container anew, if it exists")
	flags.StringVarP(&u.output, "output", "o", "", "output format: name (the container's ID), json (one object at the end) or jsonl (one event per line); the log then goes to standard error")
}

func (u *up) run(ctx context.Context, workspace string, words []string) error {
	if err := u.complete(workspace); err != nil {
		return err
	}
	if u.builder == builder.Embedded {
		return cli.UsageError("--builder must be docker or podman, not %q, which runs no containers", u.builder)
	}
	if err := u.request.Validate(); err != nil {
		return err
	}
	arguments, err := environment.ParseArguments(words)
	if err != nil {
		return err
	}
	if u.removeExisting {
		arguments = arguments.RemovingExisting()
	}
	defer outlivesItsReaders()()
	events := u.events()
	run, err := u.bringUp(ctx, events, arguments)
	printErr := u.printUp(run, err)
	if printErr != nil && !(u.output == outputText && errors.Is(printErr, syscall.EPIPE)) {
		err = errors.Join(err, fmt.Errorf("devcontainer up has ended, but the result can't be printed: %w", printErr))
	}
	if err != nil {
		return err
	}
	if code := exitCodeOf(run.result.Outcome); u.exitCode && code != cli.ExitSuccess {
		return cli.Code(code)
	}
	return nil
}

// upRun is what a run came to. Each part may be missing.
type upRun struct {
	result *runner.Result
	answer *builder.UpAnswer
}

// bringUp provides the image and brings the container up.
func (u *up) bringUp(ctx context.Context, events runner.Events, arguments environment.Arguments) (upRun, error) {
	engine, err := u.findContainers(ctx)
	if err != nil {
		return upRun{}, err
	}
	place, err := environment.New(engine, events, u.request.Workspace, u.request.ConfigPath, arguments)
	if err != nil {
		return upRun{}, err
	}
	why, err := u.withoutCache(ctx, place, arguments)
	if err != nil {
		return upRun{}, err
	}
	if why != "" {
		return u.bringUpPlain(ctx, events, place, why)
	}
	prepared := u.runner(events)
	prepared.FindEngine = func(context.Context) (builder.Engine, error) { return engine, nil }
	start := &starter{place: place, events: events}
	prepared.Usable = func(result runner.Result) { start.begin(ctx, result) }
	result, err := u.measured(prepared, func() (*runner.Result, error) { return prepared.Prepare(ctx, u.request) })
	if plain := u.afterInitialize(events, err); plain != nil {
		result, err = plain, nil
	}
	return start.finish(ctx, result, err)
}

// findContainers finds the engine, ready to run the reference CLI.
func (u *up) findContainers(ctx context.Context) (builder.Containers, error) {
	engine, err := builder.Find(ctx, u.builder)
	if err != nil {
		return nil, err
	}
	containers, ok := engine.(builder.Containers)
	if !ok {
		return nil, fmt.Errorf("%s runs no containers", engine.Name())
	}
	return containers, engine.Ready()
}

// Reasons of runs that do not ask the cache, with their sentences.
const (
	reasonContainerExists    = "ContainerExists: the workspace's container exists, so it is started as it is"
	reasonAdditionalFeatures = "AdditionalFeatures: --additional-features adds to the configuration what no hash covers"
	reasonOtherBuild         = "OtherBuild: %s asks for a build of its own"
)

// withoutCache returns why the cache is not asked, or "".
func (u *up) withoutCache(
	ctx context.Context, place *environment.Environment, arguments environment.Arguments,
) (string, error) {
	if arguments.ExpectExisting {
		return reasonContainerExists, nil
	}
	exists, err := place.Exists(ctx)
	switch {
	case err != nil:
		return "", err
	case exists:
		return reasonContainerExists, nil
	case arguments.AdditionalFeatures:
		return reasonAdditionalFeatures, nil
	case arguments.OtherBuild != "":
		return fmt.Sprintf(reasonOtherBuild, arguments.OtherBuild), nil
	}
	return "", nil
}

// bringUpPlain runs devcontainer up with the workspace's own configuration.
func (u *up) bringUpPlain(
	ctx context.Context, events runner.Events, place *environment.Environment, why string,
) (upRun, error) {
	events.Emit(runner.Event{Kind: runner.EventSection, Text: runner.SectionTitle})
	_, sentence, _ := strings.Cut(why, ": ")
	events.Emit(runner.Event{Kind: runner.EventNotice, Text: sentence + "; the cache is not asked"})
	if why == reasonContainerExists && u.request.Trigger == v1alpha1.TriggerRebuild {
		text := "to rebuild the environment, add --remove-existing-container"
		events.Emit(runner.Event{Kind: runner.EventNotice, Text: text})
	}
	result := &runner.Result{
		Outcome: runner.OutcomeBypassed, Reason: why, Project: u.request.Project, Environment: u.request.Environment,
	}
	answer, err := place.Up(ctx, nil)
	return upRun{result, answer}, err
}

// stillPublishing tells a person why the command has not ended yet.
const stillPublishing = "environment ready; still publishing"

// starter starts the container once, as soon as its image can be used.
type starter struct {
	place  *environment.Environment
	events runner.Events

	done     chan struct{} // closed when the reference CLI ended; nil until it is started
	prepared chan struct{} // closed when the preparation ended
	run      upRun
	err      error
}

// begin starts the container and returns. Only the first call does anything.
func (s *starter) begin(ctx context.Context, result runner.Result) {
	if s.done != nil {
		return
	}
	s.done, s.prepared = make(chan struct{}), make(chan struct{})
	s.run.result = &result
	go func() {
		defer close(s.done)
		s.run.answer, s.err = s.place.Up(ctx, &result)
		select {
		case <-s.prepared:
		default:
			if s.err == nil {
				s.events.Emit(runner.Event{Kind: runner.EventNotice, Text: stillPublishing})
			}
		}
	}()
}

// finish waits for the container, after the preparation ended with a result or an error.
func (s *starter) finish(ctx context.Context, result *runner.Result, prepareErr error) (upRun, error) {
	if s.done == nil {
		if prepareErr != nil {
			return upRun{}, prepareErr
		}
		s.begin(ctx, *result)
	}
	close(s.prepared)
	<-s.done
	if result != nil {
		s.run.result = result
	}
	return s.run, errors.Join(s.err, prepareErr)
}
