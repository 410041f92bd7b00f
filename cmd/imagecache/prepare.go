package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/console"
	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/textfile"
)

// Output formats of prepare.
const (
	outputText      = ""
	outputName      = "name"
	outputJSON      = "json"
	outputJSONLines = "jsonl"
)

// eventHelp documents the lines of -o jsonl in the help of prepare.
const eventHelp = `With -o jsonl each line is an object with time, event, step and text, and with service if it is about
one image of a Docker Compose configuration. The events:
  Section, Started, Finished, Failed   a part of the log, and its steps; seconds is how long a step took
  Output, Progress                     a line of the builder's output; doneBytes and totalBytes of a transfer
  Usable                               the image can be used now, under the name in image; publishing may go on
  Notice, Saved                        what the cache could not do; the line that reports a hit
  Result                               the last line: the object that -o json prints`

// prepare holds the command's flags.
type prepare struct {
	streams cli.Streams
	cluster *cli.ClusterFlags
	clock   clock.PassiveClock

	request        runner.Request
	trigger        string
	noWait         bool
	builder        string
	pull           string
	withoutCluster string
	output         string
	exitCode       bool
	metricsFile    string
	publish        string
	overrideFile   string
}

func newPrepare(streams cli.Streams) *cobra.Command {
	p := &prepare{streams: streams, clock: clock.RealClock{}}
	command := &cobra.Command{
		Use:   "prepare WORKSPACE",
		Short: "Provide an environment with its dev container image",
		Long: `Provide an environment with its dev container image: pull it from the project's cache, or build it here and publish it.

The command looks up the hash of the workspace's configuration in the project's cache. On a hit it pulls the image. On a
miss one environment builds the image and publishes it, and the others wait for it. If anything fails after the
answer, the command builds the image here, and prints the reason once.

Of a Docker Compose configuration, each service that is built has an image, if the project's spec.compose is Cached.
Otherwise the command provides none.

` + eventHelp + "\n\n" + exitHelp,
		Example: `  # provide the image of a new environment
  imagecache prepare . --project web --environment env-1

  # print only the image's name, for a script
  image=$(imagecache prepare . --project web --environment env-1 -o name)

  # return as soon as the image is built; another process publishes it
  imagecache prepare . --project web --environment env-1 --publish background

  # rebuild an environment: pull a cached image, and never publish
  imagecache prepare . --project web --environment env-1 --trigger Rebuild

  # run the reference CLI yourself, with the image; "imagecache up" does both
  imagecache prepare . --project web --environment env-1 --override-config /run/env-1.json
  devcontainer up --workspace-folder . --override-config /run/env-1.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return p.run(command.Context(), args[0]) },
	}
	p.addFlags(command)
	p.cluster = cli.AddClusterFlags(command)
	_ = command.RegisterFlagCompletionFunc("project", cli.CompleteProjects(p.cluster))
	return command
}

func (p *prepare) addFlags(command *cobra.Command) {
	p.addRequestFlags(command.Flags())
	flags := command.Flags()
	flags.StringVar(
		&p.builder, "builder", "", "the builder: docker, podman or embedded (default the first that is available)",
	)
	flags.StringVar(
		&p.pull, "pull", "",
		"the image's destination: docker, podman, or oci:FOLDER for an image layout (default the builder's store)",
	)
	flags.StringVarP(
		&p.output, "output", "o", "",
		"output format: name, json (one object at the end) or jsonl (one event per line); the log then goes to standard error",
	)
	flags.StringVar(
		&p.overrideFile, "override-config", "",
		"write the configuration for devcontainer up --override-config to FILE, outside of the workspace; of Docker Compose also a file that it names, beside FILE",
	)
}

// addRequestFlags adds the flags that commands which prepare an image have in common.
func (p *prepare) addRequestFlags(flags *pflag.FlagSet) {
	flags.StringVar(
		&p.request.Project, "project", "",
		"the name of a ProjectImageCache, or the project's ID; without a project the cache is bypassed",
	)
	flags.StringVar(&p.request.Environment, "environment", "", "the environment's ID")
	flags.StringVar(
		&p.trigger, "trigger", string(v1alpha1.TriggerEnvironmentCreated),
		"the reason of the request: EnvironmentCreated (may publish) or Rebuild (may only pull)",
	)
	flags.StringVar(&p.request.Platform, "platform", "", "the image's platform (default linux/amd64)")
	flags.StringVar(
		&p.request.ConfigPath, "config", "",
		"path of devcontainer.json, relative to the workspace (default the usual places)",
	)
	flags.StringVar(&p.request.Tag, "tag", "", "the image's name on this machine, of Docker Compose that of the dev container's service (default imagecache.local/PROJECT:HASH)")
	flags.BoolVar(
		&p.request.Refresh, "refresh", false, "build a new image even if one is cached, and replace the cached image",
	)
	flags.BoolVar(&p.request.Wait, "wait", true, "wait for another environment that builds the same image")
	flags.BoolVar(&p.noWait, "no-wait", false, "build here at once instead of waiting, without publishing")
	flags.DurationVar(
		&p.request.LookupTimeout, "lookup-timeout", runner.DefaultLookupTimeout,
		"how long to wait for the cache's answer before building here",
	)
	flags.DurationVar(
		&p.request.WaitTimeout, "wait-timeout", 0,
		"how long to wait for another environment's build (default twice its expected duration, at least 10m)",
	)
	flags.DurationVar(&p.request.BuildTimeout, "build-timeout", 0, "how long a build may take (default no limit)")
	flags.DurationVar(
		&p.request.PublishTimeout, "publish-timeout", runner.DefaultPublishTimeout,
		"how long publishing may take; after that the image is used without being published",
	)
	flags.StringVar(
		&p.publish, "publish", publishWait,
		"what to do with an image that was built: wait until it is published, or publish it in the background, in a process that goes on after the command (see imagecache publications)",
	)
	flags.StringVar(
		&p.withoutCluster, "without-cluster", "fail",
		"what to do if the cluster can't be reached: fail, or build (build here)",
	)
	flags.StringVar(
		&p.metricsFile, "metrics-file", "",
		"add this run's metrics to FOLDER/NAME.prom, a file of node_exporter's textfile collector",
	)
	flags.BoolVar(&p.exitCode, "exit-code", false, "use different exit codes for hit, published, built and bypassed")
}

// complete checks the flags and turns them into the request.
func (p *prepare) complete(workspace string) error {
	p.request.Workspace = workspace
	p.request.Trigger = v1alpha1.Trigger(p.trigger)
	p.request.Wait = p.request.Wait && !p.noWait
	if p.request.Trigger == v1alpha1.TriggerPrebuild {
		return cli.UsageError("--trigger must be EnvironmentCreated or Rebuild; to build an image ahead, use imagecache prebuild")
	}
	switch p.publish {
	case "", publishWait, publishBackground:
	default:
		return cli.UsageError("--publish must be wait or background, not %q", p.publish)
	}
	switch p.withoutCluster {
	case "build":
		p.request.BuildWithoutCluster = true
	case "fail":
	default:
		return cli.UsageError("--without-cluster must be fail or build, not %q", p.withoutCluster)
	}
	if p.metricsFile != "" {
		if err := textfile.Check(p.metricsFile); err != nil {
			return cli.UsageError("--metrics-file: %v", err)
		}
	}
	switch p.output {
	case outputText, outputName, outputJSON, outputJSONLines:
	default:
		return cli.UsageError("--output must be name, json or jsonl, not %q", p.output)
	}
	switch p.builder {
	case "", builder.Docker, builder.Podman, builder.Embedded:
	default:
		return cli.UsageError("--builder must be docker, podman or embedded, not %q", p.builder)
	}
	folder, isLayout := strings.CutPrefix(p.pull, layoutPrefix)
	if !isLayout || folder == "" {
		switch p.pull {
		case "", builder.Docker, builder.Podman:
		default:
			return cli.UsageError("--pull must be docker, podman or oci:FOLDER, not %q", p.pull)
		}
	}
	return p.checkOverrideFile()
}

func (p *prepare) run(ctx context.Context, workspace string) error {
	if err := p.complete(workspace); err != nil {
		return err
	}
	defer outlivesItsReaders()()
	prepared := p.runner(p.events())
	prepared.FindStore = p.findStore()
	result, err := p.measured(prepared, func() (*runner.Result, error) { return prepared.Prepare(ctx, p.request) })
	if err == nil && p.overrideFile != "" {
		err = p.writeOverride(ctx, result, prepared.Events)
	}
	if err != nil {
		return errors.Join(p.printFailure(err), err)
	}
	if err := p.print(result); err != nil && !(p.output == outputText && errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("the image %s is ready, but the result can't be printed: %w", result.Image, err)
	}
	if code := exitCodeOf(result.Outcome); p.exitCode && code != cli.ExitSuccess {
		return cli.Code(code)
	}
	return nil
}

// outlivesItsReaders keeps this program running when nobody reads its output any more, as in "prepare | head -1": the
// environment needs its image. A program that this one starts gets SIGPIPE as always.
func outlivesItsReaders() (stop func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// runner returns what prepares the image, with the builder's own store.
func (p *prepare) runner(events runner.Events) *runner.Runner {
	connection, namespace, err := p.cluster.Connect()
	return &runner.Runner{
		Client:       connection,
		ClusterError: err,
		Namespace:    namespace,
		FindEngine:   func(ctx context.Context) (builder.Engine, error) { return builder.Find(ctx, p.builder) },
		Events:       events,
		HandOver:     p.handOver(),
	}
}

// measured runs a preparation, and adds its metrics to the metrics file. It reports a failure to write the file, but
// the failure stops nothing.
func (p *prepare) measured(prepared *runner.Runner, run func() (*runner.Result, error)) (*runner.Result, error) {
	if p.metricsFile == "" {
		return run()
	}
	metrics := newRunMetrics(prepared.Events)
	prepared.Events = metrics
	result, err := run()
	if writeErr := metrics.write(p.metricsFile, result, err); writeErr != nil {
		metrics.Emit(runner.Event{Kind: runner.EventNotice, Text: "this run's metrics are lost: " + writeErr.Error()})
	}
	return result, err
}

// layoutPrefix is the prefix of a folder in --pull.
const layoutPrefix = "oci:"

// findStore returns how to find the image's destination, or nil for the builder's own store.
func (p *prepare) findStore() func(ctx context.Context) (runner.Store, error) {
	if folder, isLayout := strings.CutPrefix(p.pull, layoutPrefix); isLayout {
		return func(context.Context) (runner.Store, error) { return runner.LayoutStore{Folder: folder}, nil }
	}
	if p.pull == "" || p.pull == p.builder {
		return nil
	}
	return func(ctx context.Context) (runner.Store, error) {
		engine, err := builder.Find(ctx, p.pull)
		if err != nil {
			return nil, err
		}
		return runner.EngineStore{Engine: engine}, nil
	}
}

// events returns the destination of the log. If an output format is set, standard output is for the result.
func (p *prepare) events() runner.Events {
	if p.output == outputJSONLines {
		return console.NewJSONLines(p.streams.Out)
	}
	out := p.streams.Out
	if p.output != outputText {
		out = p.streams.Err
	}
	return console.NewLog(out, console.StyleOf(out, os.Getenv))
}
