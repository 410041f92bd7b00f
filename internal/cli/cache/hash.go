package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// hashCommand holds the flags of `imagecache hash`.
type hashCommand struct {
	streams cli.Streams
	cluster *cli.ClusterFlags
	project string
	config  string
	options hash.Options
	explain bool
	diff    bool
	output  string
	// cached is the project that --project names, once it is read.
	cached *v1alpha1.ProjectImageCache
}

// NewHash returns the command `imagecache hash`.
func NewHash(streams cli.Streams) *cobra.Command {
	h := &hashCommand{streams: streams}
	command := &cobra.Command{
		Use:   "hash WORKSPACE",
		Short: "Print the hash of a workspace's dev container configuration",
		Long: `Print the configuration hash, which identifies the image of a configuration in the cache.

By default it covers the platform and the bytes of devcontainer.json and of the Dockerfile that it names. --input
adds key inputs: BuildContext, BaseImages, Features, LocalEnv. With --project the key inputs are those of
the project, so that the hash is the one that imagecache prepare looks up.

Of a Docker Compose configuration, each service that is built has a hash: the command prints a line for each, with the
service's name, and the dev container's service first. Projects cache these images with spec.compose: Cached, and bypass
them otherwise.

--diff compares two of these: a workspace; git:REVISION, this folder in a commit (git:REVISION:FOLDER for another
folder); and cached:HASH, an image of --project. The inputs of a cached image come from the request that it was built
for, or, if that is removed, from the image itself, which the command finds as imagecache images does. The image of a
Docker Compose service is compared with the same service alone.`,
		Example: `  # print only the hash
  imagecache hash .

  # show every input with its digest, and what the key does not cover
  imagecache hash --explain .

  # print the hash that project web looks up
  imagecache hash . --project web

  # show what changed since the last commit, and why yesterday's image is not used
  imagecache hash --diff git:HEAD .
  imagecache hash --diff cached:4f3c21a9 . --project web`,
		Args: func(command *cobra.Command, args []string) error {
			if h.diff {
				return cobra.ExactArgs(2)(command, args)
			}
			return cobra.ExactArgs(1)(command, args)
		},
		RunE: func(command *cobra.Command, args []string) error { return h.run(command.Context(), args) },
	}
	flags := command.Flags()
	flags.StringVar(
		&h.config, "config", "", "path of devcontainer.json, relative to the workspace (default the usual places)",
	)
	flags.StringVar(&h.options.Platform, "platform", hash.DefaultPlatform, "the image's platform")
	flags.StringSliceVar(
		&h.options.Inputs, "input", nil, "additional key inputs: BuildContext, BaseImages, Features, LocalEnv",
	)
	flags.BoolVar(&h.explain, "explain", false, "show every input with its digest, and what the key does not cover")
	flags.BoolVar(&h.diff, "diff", false, "show which inputs differ between two workspaces, commits or cached images")
	flags.StringVar(&h.project, "project", "", "use the key inputs of this project")
	flags.StringVarP(&h.output, "output", "o", "", "json")
	h.cluster = cli.AddClusterFlags(command)
	_ = command.RegisterFlagCompletionFunc("project", cli.CompleteProjects(h.cluster))
	return command
}

// hashed is a workspace's key, in the JSON form that `imagecache hash -o json` prints.
type hashed struct {
	// Service of a Docker Compose configuration, "" of any other.
	Service  string         `json:"service,omitempty"`
	Hash     string         `json:"hash"`
	Version  int            `json:"version"`
	Platform string         `json:"platform"`
	Config   hashedConfig   `json:"config"`
	Inputs   []hash.Input   `json:"inputs"`
	Warnings []hash.Warning `json:"warnings"`
	Complete bool           `json:"complete"`

	// told means that the key comes from a request: inputs hold only names and digests.
	told bool
}

// hashedConfig is the configuration. Paths are relative to the workspace.
type hashedConfig struct {
	Path       string            `json:"path"`
	Type       devcontainer.Type `json:"type"`
	Dockerfile string            `json:"dockerfile,omitempty"`
	Context    string            `json:"context,omitempty"`
}

// keySet is what has a hash in one source.
type keySet struct {
	// keys are one; or of a Docker Compose configuration one for each service that is built, the dev container's first.
	keys []*hashed
	// images are the services that take an image as it is, and so have no hash.
	images []string
}

func (s *keySet) isCompose() bool { return s.keys[0].Service != "" }

func (h *hashCommand) compute(ctx context.Context, workspace string) (*keySet, error) {
	configuration, err := devcontainer.Load(workspace, h.config)
	if err != nil {
		return nil, err
	}
	if configuration.Type == devcontainer.TypeCompose {
		return h.computeServices(ctx, configuration)
	}
	key, err := hash.Compute(ctx, configuration, h.options)
	if err != nil {
		return nil, err
	}
	return &keySet{keys: []*hashed{hashedOf(configuration, key)}}, nil
}

func (h *hashCommand) computeServices(ctx context.Context, c *devcontainer.Configuration) (*keySet, error) {
	project, err := compose.Load(ctx, c, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	set := &keySet{images: project.Images}
	for i := range project.Services {
		service := &project.Services[i]
		key, err := service.ComputeKey(ctx, h.options)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", service.Name, err)
		}
		computed := hashedOf(service.Configuration, key)
		computed.Service, computed.Config.Type = service.Name, devcontainer.TypeCompose
		set.keys = append(set.keys, computed)
	}
	return set, nil
}

func hashedOf(c *devcontainer.Configuration, key *hash.Key) *hashed {
	return &hashed{
		Hash: key.Hash, Version: key.Version, Platform: key.Platform,
		Config: hashedConfig{Path: c.Path, Type: c.Type, Dockerfile: c.Dockerfile, Context: c.Context},
		Inputs: key.Inputs, Warnings: key.Warnings, Complete: key.Complete,
	}
}

func (h *hashCommand) run(ctx context.Context, args []string) error {
	if h.output != "" && h.output != cli.FormatJSON {
		return cli.UsageError("--output is json, not %q", h.output)
	}
	if err := h.readProject(ctx); err != nil {
		return err
	}
	sets := make([]*keySet, 0, len(args))
	for _, source := range args {
		set, err := h.keysOf(ctx, source)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	switch {
	case h.diff:
		return h.printDiffs(sets[0].keys, sets[1].keys)
	case sets[0].isCompose():
		return h.printServices(sets[0])
	case h.output == cli.FormatJSON:
		return h.printJSON(sets[0].keys[0])
	case h.explain:
		return h.printExplained(sets[0].keys[0])
	}
	return cli.WriteLine(h.streams.Out, sets[0].keys[0].Hash)
}

// printServices prints the keys of a Docker Compose configuration.
func (h *hashCommand) printServices(set *keySet) error {
	if h.output == cli.FormatJSON {
		return h.printJSON(map[string]any{"services": set.keys, "images": append([]string{}, set.images...)})
	}
	for _, key := range set.keys {
		if !h.explain {
			if err := cli.WriteLine(h.streams.Out, key.Hash+"  "+key.Service); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(h.printExplained(key), cli.WriteLine(h.streams.Out, "")); err != nil {
			return err
		}
	}
	if !h.explain {
		return nil
	}
	if len(set.images) > 0 {
		line := "Without a hash, because nothing is built: " + strings.Join(set.images, ", ")
		if err := cli.WriteLine(h.streams.Out, line); err != nil {
			return err
		}
	}
	return cli.WriteLine(h.streams.Out, h.composePolicy())
}

// composePolicy says what becomes of a Docker Compose configuration.
func (h *hashCommand) composePolicy() string {
	switch {
	case h.cached == nil:
		return "Projects with spec.compose: Cached cache these images; others bypass Docker Compose configurations."
	case h.cached.Spec.Compose == v1alpha1.ComposePolicyCached:
		return fmt.Sprintf("Project %s caches these images.", h.cached.Name)
	}
	return fmt.Sprintf(
		"Project %s bypasses Docker Compose configurations; spec.compose: Cached of the project changes that.", h.cached.Name,
	)
}

func (h *hashCommand) printJSON(value any) error {
	return (&cli.Output{Format: cli.FormatJSON}).Encode(h.streams.Out, value)
}

func (h *hashCommand) printExplained(key *hashed) error {
	out := tabwriter.NewWriter(h.streams.Out, 0, 8, 3, ' ', 0)
	if key.Service != "" {
		_, _ = fmt.Fprintf(out, "Service:\t%s\n", key.Service)
	}
	_, _ = fmt.Fprintf(
		out, "Hash:\t%s\nVersion:\t%d\nPlatform:\t%s\nConfiguration:\t%s (%s)\n", key.Hash, key.Version, key.Platform,
		key.Config.Path, key.Config.Type,
	)
	_ = out.Flush()
	_, _ = fmt.Fprint(out, "\nINPUT\tPATH\tBYTES\tDIGEST\n")
	for _, input := range key.Inputs {
		_, _ = fmt.Fprintf(out, "%s\t%s\t%d\t%s\n", input.Name, input.Path, input.SizeBytes, input.Digest)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if len(key.Warnings) > 0 {
		_, _ = fmt.Fprintln(h.streams.Out, "\nNot covered by the hash:")
	}
	for _, warning := range key.Warnings {
		place := ""
		if warning.Path != "" {
			place = warning.Path
			if warning.Line > 0 {
				place = fmt.Sprintf("%s:%d", place, warning.Line)
			}
			place += ": "
		}
		if err := cli.WriteLine(h.streams.Out, "  "+place+warning.Message); err != nil {
			return err
		}
	}
	return nil
}
