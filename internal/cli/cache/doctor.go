package cache

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/console"
	"imagecache.dev/internal/inspect"
)

// NewDoctor returns the command `imagecache doctor`.
func NewDoctor(streams cli.Streams) *cobra.Command {
	var output cli.Output
	var clusterOnly bool
	var flags *cli.ClusterFlags
	command := &cobra.Command{
		Use:   "doctor [PROJECT]",
		Short: "Check everything that the cache needs to work",
		Long: `Check everything that the cache needs to work, and tell how to fix each problem. The command
checks this machine's builder and the speed of its disk, the cluster, its clock and your rights there. With a project
it also checks the runner's settings and roles, the repository with its lifecycle rule and tags, the pull
credentials, that ECR does not record what the manager reads as pulls, and Docker Compose on this machine if the project
caches services. It calls AWS with your own credentials.

The exit code is 1 if a check failed.`,
		Example: `  # check this machine and the cluster
  imagecache doctor

  # check everything for project web
  imagecache doctor web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := output.Validate(); err != nil {
				return err
			}
			return printFindings(streams, &output, examine(command.Context(), flags, args, !clusterOnly))
		},
	}
	output.AddFlags(command.Flags())
	command.Flags().BoolVar(&clusterOnly, "cluster-only", false, "don't call AWS")
	flags = cli.AddClusterFlags(command)
	command.ValidArgsFunction = cli.CompleteProjects(flags)
	return command
}

func examine(ctx context.Context, flags *cli.ClusterFlags, args []string, askAWS bool) []inspect.Finding {
	doctor := &inspect.Doctor{
		AWS: askAWS, Now: time.Now,
		FindEngine: func(ctx context.Context) (builder.Engine, error) { return builder.Find(ctx, "") },
	}
	doctor.Client, doctor.Namespace, doctor.ClusterError = flags.Connect()
	if doctor.ClusterError == nil {
		doctor.Config, doctor.ClusterError = flags.RESTConfig()
	}
	if len(args) > 0 {
		doctor.Project = args[0]
	}
	return doctor.Examine(ctx)
}

// printFindings prints the findings. A failed finding determines the exit code.
func printFindings(streams cli.Streams, output *cli.Output, findings []inspect.Finding) error {
	if output.IsTable() {
		if err := printFindingsTable(streams, findings); err != nil {
			return err
		}
	} else if err := output.Encode(streams.Out, findings); err != nil {
		return err
	}
	for _, finding := range findings {
		if finding.Result == inspect.ResultFailed {
			return cli.Code(cli.ExitFailed)
		}
	}
	return nil
}

// marks are the signs of results.
var marks = map[inspect.Result]console.Mark{
	inspect.ResultOK: console.MarkOK, inspect.ResultWarning: console.MarkWarning,
	inspect.ResultFailed: console.MarkFailed, inspect.ResultSkipped: console.MarkSkipped,
}

func printFindingsTable(streams cli.Streams, findings []inspect.Finding) error {
	style := console.StyleOf(streams.Out, os.Getenv)
	area := ""
	for _, finding := range findings {
		if finding.Area != area {
			area = finding.Area
			if err := cli.WriteLine(streams.Out, style.Title(area)); err != nil {
				return err
			}
		}
		line := fmt.Sprintf("  %s %-24s %s", style.Mark(marks[finding.Result]), finding.Check, finding.Message)
		if err := cli.WriteLine(streams.Out, line); err != nil {
			return err
		}
		if finding.Advice == "" {
			continue
		}
		if err := cli.WriteLine(streams.Out, fmt.Sprintf("  %s %-24s → %s", " ", "", finding.Advice)); err != nil {
			return err
		}
	}
	return nil
}
