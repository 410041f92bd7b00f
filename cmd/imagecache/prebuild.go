package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/console"
	"imagecache.dev/internal/prebuild"
	"imagecache.dev/internal/publication"
	"imagecache.dev/internal/runner"
)

// Defaults of prebuild.
const (
	// prebuildEnvironment is what the label of an image says built it.
	prebuildEnvironment = "prebuild"
	prebuildParallel    = 2
)

// prebuilding holds the flags of prebuild.
type prebuilding struct {
	streams cli.Streams
	cluster *cli.ClusterFlags
	clock   clock.PassiveClock
	output  cli.Output

	request   runner.Request
	configs   []string
	platforms []string
	builder   string
	due       bool
	parallel  int
	summary   string
}

func newPrebuild(streams cli.Streams) *cobra.Command {
	p := &prebuilding{streams: streams, clock: clock.RealClock{}}
	command := &cobra.Command{
		Use:   "prebuild WORKSPACE",
		Short: "Build the images of a workspace ahead, so that no environment waits for them",
		Long: `Build the images of a workspace ahead, in CI or on a schedule: each configuration (.devcontainer/devcontainer.json,
.devcontainer.json and .devcontainer/*/devcontainer.json), for each platform. What the project's cache has is not built
and not pulled. Lifecycle commands never run.

With --due, images that expire within 7 days, or the last quarter of a shorter retentionDays, are replaced, too;
environments use the old image until the new one is published.

The command needs the verb prebuild on projectimagecaches, which the role imagecache-prebuilder has. It asks nothing,
and writes a table to standard output; the log goes to standard error.

Exit codes:
  0    the cache has every image; Docker Compose configurations count if the project's spec.compose is Cached
  1    one could not be built or replaced; the table tells why
  2    the command line is wrong
  130  interrupted`,
		Example: `  # in CI, after each change of the main branch
  imagecache prebuild . --project web

  # each night: also replace what expires within a week
  imagecache prebuild . --project web --due

  # two configurations, for two platforms
  imagecache prebuild . --project web --config .devcontainer/api/devcontainer.json \
    --config .devcontainer/web/devcontainer.json --platform linux/amd64 --platform linux/arm64`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return p.run(command.Context(), args[0]) },
	}
	p.addFlags(command)
	p.cluster = cli.AddClusterFlags(command)
	_ = command.RegisterFlagCompletionFunc("project", cli.CompleteProjects(p.cluster))
	return command
}

func (p *prebuilding) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&p.request.Project, "project", "", "the name of a ProjectImageCache, or the project's ID")
	flags.StringVar(
		&p.request.Environment, "environment", prebuildEnvironment, "the name under which the images are built",
	)
	flags.StringArrayVar(
		&p.configs, "config", nil, "path of a devcontainer.json, relative to the workspace; may be repeated (default all)",
	)
	flags.StringArrayVar(&p.platforms, "platform", nil, "a platform; may be repeated (default linux/amd64)")
	flags.StringVar(&p.builder, "builder", "", "the builder: docker, podman or embedded (default the first that is available)")
	flags.BoolVar(&p.due, "due", false, "also replace images that expire soon")
	flags.BoolVar(&p.request.Refresh, "refresh", false, "build new images even if some are cached, and replace those")
	flags.IntVar(&p.parallel, "parallel", prebuildParallel, "how many images to build at once, 1 to 16")
	flags.StringVar(
		&p.summary, "summary", "", "add a table in Markdown to FILE (default the file in $GITHUB_STEP_SUMMARY, if set)",
	)
	flags.DurationVar(
		&p.request.LookupTimeout, "lookup-timeout", time.Minute, "how long to wait for the cache's answer",
	)
	flags.DurationVar(
		&p.request.WaitTimeout, "wait-timeout", 0,
		"how long to wait for another build of the same image (default twice its expected duration, at least 10m)",
	)
	flags.DurationVar(&p.request.BuildTimeout, "build-timeout", 0, "how long a build may take (default no limit)")
	flags.DurationVar(
		&p.request.PublishTimeout, "publish-timeout", runner.DefaultPublishTimeout, "how long publishing may take",
	)
	p.output.AddFlags(flags)
}

// complete checks the flags, and returns what to build.
func (p *prebuilding) complete(workspace string) ([]prebuild.Item, error) {
	p.request.Workspace, p.request.Wait = workspace, true
	if p.summary == "" {
		p.summary = os.Getenv("GITHUB_STEP_SUMMARY")
	}
	if err := p.output.Validate(); err != nil {
		return nil, err
	}
	switch p.builder {
	case "", builder.Docker, builder.Podman, builder.Embedded:
	default:
		return nil, cli.UsageError("--builder must be docker, podman or embedded, not %q", p.builder)
	}
	if p.parallel < 1 || p.parallel > 16 {
		return nil, cli.UsageError("--parallel must be 1 to 16, not %d", p.parallel)
	}
	if p.request.Project == "" {
		return nil, cli.UsageError("a project is required: set --project")
	}
	items, err := prebuild.Items(workspace, p.configs, p.platforms)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		request := p.requestFor(item)
		if err := request.Validate(); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (p *prebuilding) requestFor(item prebuild.Item) runner.Request {
	request := p.request
	request.Trigger = v1alpha1.TriggerPrebuild
	request.ConfigPath, request.Platform = item.Config, item.Platform
	return request
}

func (p *prebuilding) run(ctx context.Context, workspace string) error {
	items, err := p.complete(workspace)
	if err != nil {
		return err
	}
	connection, namespace, err := p.cluster.Connect()
	if err != nil {
		return err
	}
	log := console.NewLog(p.streams.Err, console.StyleOf(p.streams.Err, os.Getenv))
	due := time.Duration(0)
	if p.due {
		due = publication.DueWithin
	}
	rows := prebuild.Run(ctx, items, p.parallel, func(ctx context.Context, item prebuild.Item) (*runner.Result, error) {
		events := runner.Events(log)
		if len(items) > 1 {
			events = prebuild.Named(log, item)
		}
		prepared := &runner.Runner{
			Client: connection, Namespace: namespace, Events: events,
			FindEngine: func(ctx context.Context) (builder.Engine, error) { return builder.Find(ctx, p.builder) },
		}
		return prepared.Prebuild(ctx, p.requestFor(item), due)
	})
	err = errors.Join(p.print(rows), p.writeSummary(rows))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed := prebuild.Failed(rows); failed > 0 {
		return errors.Join(err, fmt.Errorf("%d of %d images could not be prebuilt; the table tells why", failed, len(rows)))
	}
	return err
}

// prebuildRow is a row of -o json.
type prebuildRow struct {
	Config string `json:"config"`
	// Platform is what --platform names, or what the image has; empty for the default of a prebuild that failed.
	Platform string         `json:"platform,omitempty"`
	Outcome  string         `json:"outcome"`
	Error    string         `json:"error,omitempty"`
	Result   *runner.Result `json:"result,omitempty"`
}

// print writes one table, or one object for programs.
func (p *prebuilding) print(rows []prebuild.Row) error {
	if !p.output.IsTable() {
		shown := make([]prebuildRow, 0, len(rows))
		for _, row := range rows {
			one := prebuildRow{Config: row.Config, Platform: row.Platform, Outcome: row.Outcome(), Result: row.Result}
			if row.Err != nil {
				one.Error = row.Reason()
			} else {
				one.Platform = row.Result.Platform
			}
			shown = append(shown, one)
		}
		return p.output.Encode(p.streams.Out, shown)
	}
	columns := []cli.Column{
		{Name: "Configuration"}, {Name: "Result"}, {Name: "Hash"}, {Name: "Expires"}, {Name: "Took"}, {Name: "Reason"},
		{Name: "Image", Wide: true},
	}
	cells := make([][]any, 0, len(rows))
	for _, row := range rows {
		cells = append(cells, p.cells(row))
	}
	return p.output.Table(p.streams.Out, columns, cells)
}

func (p *prebuilding) cells(row prebuild.Row) []any {
	hash, expires, took, reference := "", "", "", ""
	if result := row.Result; result != nil {
		hash, reference = result.Hash[:min(len(result.Hash), 12)], result.Reference
		took = duration.HumanDuration(time.Duration(result.Seconds.Total * float64(time.Second)))
		if result.ExpiresAt != nil {
			expires = duration.HumanDuration(result.ExpiresAt.Sub(p.clock.Now()))
		}
	}
	return []any{row.Name(), row.Outcome(), hash, expires, took, row.Reason(), reference}
}

// writeSummary adds the table to the page of a CI job.
func (p *prebuilding) writeSummary(rows []prebuild.Row) error {
	if p.summary == "" {
		return nil
	}
	file, err := os.OpenFile(p.summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return errors.Join(prebuild.WriteSummary(file, p.request.Project, rows), file.Close())
}
