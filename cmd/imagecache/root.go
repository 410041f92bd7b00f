package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/buildinfo"
)

// streams are the program's input and outputs.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// execute runs the program and returns its exit code.
func execute(ctx context.Context, streams streams, args []string) int {
	root := newRoot(streams, args[0])
	if filepath.Base(args[0]) == helperProgram {
		args = append([]string{args[0], "credentials"}, args[1:]...)
	}
	root.SetArgs(args[1:])
	return exitCode(root.ExecuteContext(ctx), streams.err)
}

// newRoot returns the command tree. program is the name by which the program was called.
func newRoot(streams streams, program string) *cobra.Command {
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
				return usageError("unknown command %q; see imagecache --help", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl imagecache"}
	}
	root.SetIn(streams.in)
	root.SetOut(streams.out)
	root.SetErr(streams.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.PersistentPreRunE = func(command *cobra.Command, _ []string) error { return setFromEnvironment(command.Flags()) }
	root.AddCommand(
		newUp(streams), newPrepare(streams), newHash(streams), newImages(streams), newProjects(streams),
		newExplain(streams), newEvict(streams), newDoctor(streams), newCredentials(streams), newPublications(streams),
		newVersion(streams), newDocs(),
	)
	for _, command := range root.Commands() {
		describeEnvironment(command.LocalNonPersistentFlags())
		command.Args = asUsage(command.Args)
	}
	return root
}

// asUsage turns the errors of an argument check into usage errors.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(command, args); err != nil {
			return usageError("%v; see %s --help", err, command.CommandPath())
		}
		return nil
	}
}
