package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/buildinfo"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/cli/cache"
)

// execute runs the program and returns its exit code.
func execute(ctx context.Context, streams cli.Streams, args []string) int {
	root := newRoot(streams, args[0])
	if filepath.Base(args[0]) == helperProgram {
		args = append([]string{args[0], "credentials"}, args[1:]...)
	}
	root.SetArgs(args[1:])
	return cli.ExitCode(root.ExecuteContext(ctx), streams.Err)
}

// newRoot returns the command tree. program is the name by which the program was called.
func newRoot(streams cli.Streams, program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "imagecache",
		Short: "A project's cache of built dev container images",
		Long: `imagecache provides environments with dev container images from a project's shared cache, and shows what it holds.

The first environment with a configuration builds the image and publishes it. Later environments of the project pull
it.`,
		Version:       buildinfo.Text(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.UsageError("unknown command %q; see imagecache --help", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl imagecache"}
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.UsageError("%v", err) })
	root.SetUsageTemplate(cli.UsageTemplate(root.UsageTemplate()))
	root.PersistentPreRunE = func(command *cobra.Command, _ []string) error {
		return cli.SetFromEnvironment(command.Flags())
	}
	root.AddCommand(
		newUp(streams), newPrepare(streams), newPrebuild(streams), cache.NewHash(streams), cache.NewImages(streams),
		cache.NewProjects(streams), cache.NewExplain(streams), cache.NewVerify(streams), cache.NewEvict(streams),
		cache.NewDashboard(streams), cache.NewDoctor(streams), newCredentials(streams), newPublications(streams),
		newVersion(streams), newDocs(),
	)
	for _, command := range root.Commands() {
		cli.DescribeEnvironment(command.LocalNonPersistentFlags())
		command.Args = cli.AsUsage(command.Args)
	}
	return root
}
