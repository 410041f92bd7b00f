package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/background"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/console"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// Names of the commands.
const (
	publicationsName     = "publications"
	publicationsWaitName = "wait"
	publicationsRunName  = "run"
)

// publications holds the flags of the commands about publications in the background.
type publications struct {
	streams cli.Streams
	clock   clock.PassiveClock
	output  cli.Output
	timeout time.Duration
}

func newPublications(streams cli.Streams) *cobra.Command {
	p := &publications{streams: streams, clock: clock.RealClock{}}
	command := &cobra.Command{
		Use:   publicationsName,
		Short: "Show the publications in the background on this machine",
		Long: `Show the publications that imagecache prepare --publish=background started on this machine, the oldest first.

States:
  Running     its process saves, uploads or publishes the image
  Published   the project's cache has the image
  Failed      the image is not published; REASON tells why
  Abandoned   its process was killed; the cache lets another environment build after 45 s

Records and logs are in imagecache/publications below $XDG_STATE_HOME, or below ~/.local/state. The next publication
removes finished ones after 7 days, and beyond 100.`,
		Example: `  # how far is it?
  imagecache publications

  # before the machine is stopped, and its disk with it
  imagecache publications wait --timeout 10m`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.list() },
	}
	p.output.AddFlags(command.Flags())
	command.AddCommand(p.newWait(), newPublicationsRun(streams))
	for _, child := range command.Commands() {
		cli.DescribeEnvironment(child.LocalNonPersistentFlags())
		child.Args = cli.AsUsage(child.Args)
	}
	return command
}

func (p *publications) list() error {
	if err := p.output.Validate(); err != nil {
		return err
	}
	folder, err := background.UserFolder()
	if err != nil {
		return err
	}
	records, unreadable := folder.List()
	if !p.output.IsTable() {
		return errors.Join(p.output.Encode(p.streams.Out, records), unreadable)
	}
	if len(records) == 0 {
		if unreadable != nil {
			return unreadable
		}
		return cli.WriteLine(p.streams.Err, "No publications in the background on this machine.")
	}
	columns := []cli.Column{
		{Name: "Name"}, {Name: "Project"}, {Name: "Hash"}, {Name: "Environment"}, {Name: "State"}, {Name: "Age"},
		{Name: "Took"}, {Name: "Reason"}, {Name: "Log", Wide: true},
	}
	rows := make([][]any, 0, len(records))
	for i := range records {
		rows = append(rows, p.row(&records[i]))
	}
	return errors.Join(p.output.Table(p.streams.Out, columns, rows), unreadable)
}

func (p *publications) row(record *background.Record) []any {
	now, took := p.clock.Now(), ""
	if record.Ended != nil {
		took = duration.HumanDuration(record.Ended.Sub(record.Began))
	}
	return []any{
		record.Name, record.Project, record.Hash[:min(len(record.Hash), 12)], record.Environment, string(record.State),
		duration.HumanDuration(now.Sub(record.Began)), took, record.Reason, record.Log,
	}
}

func (p *publications) newWait() *cobra.Command {
	command := &cobra.Command{
		Use:   publicationsWaitName + " [NAME...]",
		Short: "Wait for publications in the background",
		Long: `Wait until publications in the background have ended, and print what became of each. Without a name the command waits
for all that are running.

Exit codes:
  0    all are published, or none was running
  1    one was not published, or the time is up; sentences on standard error tell why
  2    the command line is wrong, or no publication has the name
  130  interrupted; the publications go on`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completePublications,
		RunE:              func(command *cobra.Command, args []string) error { return p.wait(command.Context(), args) },
	}
	command.Flags().DurationVar(&p.timeout, "timeout", 0, "how long to wait (default no limit)")
	return command
}

// errTimeIsUp is the cause of a wait that took too long.
var errTimeIsUp = errors.New("time is up")

func (p *publications) wait(ctx context.Context, names []string) error {
	folder, err := background.UserFolder()
	if err != nil {
		return err
	}
	var errs []error
	if len(names) == 0 {
		var unreadable error
		names, unreadable = running(folder)
		errs = append(errs, unreadable)
	} else if err := checkNames(folder, names); err != nil {
		return err
	}
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.timeout, errTimeIsUp)
		defer cancel()
	}
	for _, name := range names {
		record, err := folder.Wait(ctx, name)
		if errors.Is(err, errTimeIsUp) {
			err = fmt.Errorf("publication %s did not end within %s; it goes on", name, p.timeout)
		}
		if err == nil {
			err = p.printEnded(record)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// printEnded prints a publication that has ended. It returns an error if that is not published.
func (p *publications) printEnded(record background.Record) error {
	line := fmt.Sprintf("%s %s", record.State, record.Name)
	if record.Reference != "" {
		line += " " + record.Reference
	}
	if err := cli.WriteLine(p.streams.Out, line); err != nil {
		return err
	}
	if record.State == background.Published {
		return nil
	}
	return fmt.Errorf("publication %s is %s: %s; its log is %s", record.Name, record.State, record.Reason, record.Log)
}

// running returns the names of the publications that are running. The error is of records that can't be read.
func running(folder background.Folder) ([]string, error) {
	records, unreadable := folder.List()
	var names []string
	for i := range records {
		if records[i].State == background.Running {
			names = append(names, records[i].Name)
		}
	}
	return names, unreadable
}

// checkNames returns an error if a name is of no publication.
func checkNames(folder background.Folder, names []string) error {
	for _, name := range names {
		if _, err := folder.Read(name); errors.Is(err, fs.ErrNotExist) {
			return cli.UsageError("no publication %q on this machine; see imagecache publications", name)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// completePublications completes the names of publications.
func completePublications(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if folder, err := background.UserFolder(); err == nil {
		records, _ := folder.List()
		for i := range records {
			names = append(names, records[i].Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// newPublicationsRun returns the hidden command of the process that publishes in the background.
func newPublicationsRun(streams cli.Streams) *cobra.Command {
	command := &cobra.Command{
		Use: publicationsRunName, Short: "Publish in the background", Hidden: true, Args: cobra.NoArgs,
	}
	flags := cli.AddClusterFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		var order publishOrder
		taken, err := background.Take(&order)
		if err != nil {
			return err
		}
		if err := flags.SetValues(order.Cluster); err != nil {
			return errors.Join(taken.Refuse(err), err)
		}
		return publishTaken(command.Context(), streams, flags, taken, &order)
	}
	return command
}

// publishTaken publishes, and writes what became of it into the record.
func publishTaken(
	ctx context.Context, streams cli.Streams, flags *cli.ClusterFlags, taken *background.Taken, order *publishOrder,
) error {
	connection, _, err := flags.Connect()
	if err != nil {
		return errors.Join(taken.Refuse(err), err)
	}
	publishing := &runner.Runner{
		Client: connection, Namespace: order.Publication.Namespace, FindEngine: engineNamed(order.Publication.Engine),
		Events: console.NewLog(streams.Out, console.StyleOf(streams.Out, os.Getenv)),
	}
	held := false
	hold := func() error {
		held = true // also where prepare was killed then: nobody else ends the record
		return taken.Hold()
	}
	result, err := publishMeasured(ctx, publishing, order, hold)
	if err != nil && !held {
		return errors.Join(taken.Refuse(err), err)
	}
	state, reason := stateOf(err)
	reference := ""
	if result != nil {
		reference = result.Reference
	}
	err = errors.Join(err, taken.Finish(state, reference, reason, time.Now().UTC()))
	tidy(ctx, taken.Folder(), streams.Err)
	return err
}

func engineNamed(name string) func(ctx context.Context) (builder.Engine, error) {
	return func(ctx context.Context) (builder.Engine, error) { return builder.Find(ctx, name) }
}

// publishMeasured publishes, and adds the metrics of that to the metrics file.
func publishMeasured(
	ctx context.Context, publishing *runner.Runner, order *publishOrder, hold func() error,
) (*runner.Result, error) {
	if order.MetricsFile == "" {
		return publishing.Publish(ctx, order.Publication, hold)
	}
	metrics := newRunMetrics(publishing.Events)
	publishing.Events = metrics
	result, err := publishing.Publish(ctx, order.Publication, hold)
	if writeErr := metrics.writePublication(order.MetricsFile, err); writeErr != nil {
		metrics.Emit(runner.Event{Kind: runner.EventNotice, Text: "this publication's metrics are lost: " + writeErr.Error()})
	}
	return result, err
}

// tidy removes the images that publications kept and no longer need, with any engine, and old records. A record that is
// removed first would leave its image in the store for good.
func tidy(ctx context.Context, folder background.Folder, out io.Writer) {
	records, err := folder.List()
	if err != nil {
		_, _ = fmt.Fprintln(out, message.Redact(err.Error()))
	}
	for i := range records {
		if records[i].State == background.Running || records[i].KeptName == "" {
			continue
		}
		keeper := &runner.Runner{FindEngine: engineNamed(records[i].Engine)}
		err := keeper.LetGo(ctx, records[i].KeptName)
		if err == nil {
			err = folder.Settle(records[i])
		}
		if err != nil {
			_, _ = fmt.Fprintln(out, message.Redact(err.Error()))
		}
	}
	folder.Prune(time.Now())
}
