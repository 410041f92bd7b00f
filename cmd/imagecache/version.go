package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/buildinfo"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/hash"
)

// versionInfo is what `imagecache version -o json` prints.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// HashVersion is the version of the hash that this program computes.
	HashVersion int    `json:"hashVersion"`
	Go          string `json:"go"`
	Platform    string `json:"platform"`
}

func currentVersion() versionInfo {
	return versionInfo{
		Version: buildinfo.Version(), Commit: buildinfo.Commit(), HashVersion: hash.Version,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func newVersion(streams cli.Streams) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  imagecache version -o json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := currentVersion()
			switch format {
			case "":
				return cli.WriteLine(streams.Out, "imagecache "+info.Version)
			case cli.FormatJSON, cli.FormatYAML:
				return (&cli.Output{Format: format}).Encode(streams.Out, info)
			}
			return cli.UsageError("--output must be json or yaml, not %q", format)
		},
	}
	command.Flags().StringVarP(&format, "output", "o", "", "output format: json or yaml")
	return command
}
