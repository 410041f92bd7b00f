package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// annotationCluster marks the flags of the connection to the cluster.
const annotationCluster = "imagecache.dev/cluster"

// UsageTemplate is cobra's template, with the cluster's flags separate from a command's own flags.
func UsageTemplate(original string) string {
	cobra.AddTemplateFunc("ownFlags", func(flags *pflag.FlagSet) string { return flagUsages(flags, false) })
	cobra.AddTemplateFunc("clusterFlags", func(flags *pflag.FlagSet) string { return flagUsages(flags, true) })
	const all = "{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	const apart = "{{ownFlags .LocalFlags}}{{with clusterFlags .LocalFlags}}\n\nCluster Flags:\n{{.}}{{end}}"
	return strings.Replace(original, all, apart, 1)
}

// flagUsages describes the flags that belong, or do not belong, to the cluster.
func flagUsages(flags *pflag.FlagSet, ofCluster bool) string {
	chosen := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(flag *pflag.Flag) {
		if _, marked := flag.Annotations[annotationCluster]; marked == ofCluster {
			chosen.AddFlag(flag)
		}
	})
	return strings.TrimRight(chosen.FlagUsages(), "\n ")
}

// AsUsage turns the errors of an argument check into usage errors.
func AsUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(command, args); err != nil {
			return UsageError("%v; see %s --help", err, command.CommandPath())
		}
		return nil
	}
}
