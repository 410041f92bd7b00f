package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/console"
	"imagecache.dev/internal/inspect"
)

func newDoctor(streams streams) *cobra.Command {
	var output output
	var clusterOnly bool
	var cluster *cluster
	command := &cobra.Command{
		Use:   "doctor [PROJECT]",
		Short: "Check everything that has to be right for environments to be cached",
		Long: `Check everything that has to be right for environments to be cached, and say what to do about what is not: this
machine's builder, the cluster, its clock and your rights there; and with a project, the runner's settings and roles,
the repository with its lifecycle rule and tags, and the pull credentials. AWS is asked with your own credentials.

The exit code is 1 if a check failed.`,
		Example: `  # this machine and the cluster
  imagecache doctor

  # all about project web
  imagecache doctor web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := output.validate(); err != nil {
				return err
			}
			findings, err := examine(command.Context(), cluster, args, !clusterOnly)
			if err != nil {
				return err
			}
			return printFindings(streams, &output, findings)
		},
	}
	output.addFlags(command.Flags())
	command.Flags().BoolVar(&clusterOnly, "cluster-only", false, "don't ask AWS")
	cluster = addClusterFlags(command)
	command.ValidArgsFunction = completeProjects(cluster)
	return command
}

func examine(ctx context.Context, cluster *cluster, args []string, askAWS bool) ([]inspect.Finding, error) {
	connection, namespace, err := cluster.connect()
	if err != nil {
		return nil, err
	}
	config, err := cluster.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	doctor := &inspect.Doctor{
		Client: connection, Config: config, Namespace: namespace, AWS: askAWS, Now: time.Now,
		FindEngine: func(ctx context.Context) (builder.Engine, error) { return builder.Find(ctx, "") },
	}
	if len(args) > 0 {
		doctor.Project = args[0]
	}
	return doctor.Examine(ctx), nil
}

// printFindings shows the findings; a failed one makes the exit code.
func printFindings(streams streams, output *output, findings []inspect.Finding) error {
	if output.isTable() {
		if err := printFindingsTable(streams, findings); err != nil {
			return err
		}
	} else if err := output.encode(streams.out, findings); err != nil {
		return err
	}
	for _, finding := range findings {
		if finding.Result == inspect.ResultFailed {
			return outcomeCode(exitFailed)
		}
	}
	return nil
}

// marks show results at a glance.
var marks = map[inspect.Result]console.Mark{
	inspect.ResultOK: console.MarkOK, inspect.ResultWarning: console.MarkWarning,
	inspect.ResultFailed: console.MarkFailed, inspect.ResultSkipped: console.MarkSkipped,
}

func printFindingsTable(streams streams, findings []inspect.Finding) error {
	style := console.StyleOf(streams.out, os.Getenv)
	area := ""
	for _, finding := range findings {
		if finding.Area != area {
			area = finding.Area
			if err := writeLine(streams.out, style.Title(area)); err != nil {
				return err
			}
		}
		line := fmt.Sprintf("  %s %-24s %s", style.Mark(marks[finding.Result]), finding.Check, finding.Message)
		if err := writeLine(streams.out, line); err != nil {
			return err
		}
		if finding.Advice == "" {
			continue
		}
		if err := writeLine(streams.out, fmt.Sprintf("  %s %-24s → %s", " ", "", finding.Advice)); err != nil {
			return err
		}
	}
	return nil
}
