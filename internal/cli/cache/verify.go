package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/display"
	"imagecache.dev/internal/inspect"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/provenance"
)

// NewVerify returns the command `imagecache verify`.
func NewVerify(streams cli.Streams) *cobra.Command {
	v := &verifyCommand{streams: streams}
	command := &cobra.Command{
		Use:   "verify PROJECT HASH | REFERENCE --key FILE",
		Short: "Verify the signature of a cached image, and show how the image came about",
		Long: `Verify the signature of a cached image, and show how the image came about: which manager checked and signed it, when
it was built, and from which inputs, as the runner stated them.

With PROJECT and HASH, the keys are those in the status of the project's runner, and the image is read with the
project's pull credentials. HASH is the whole hash, or as many of its first characters as identify one image.

With REFERENCE and --key, no cluster is asked: the image is read with your own credentials for its registry, and FILE
holds a public key in PEM form, as the status of a runner has them.

The exit code is 0 if the signature holds, and 1 if it does not or the image can't be read.`,
		Example: `  # verify the image of a hash
  imagecache verify web 4f3c21a9b7e0

  # verify an image with a key that you keep yourself
  imagecache verify 123456789012.dkr.ecr.eu-central-1.amazonaws.com/REPOSITORY@sha256:… --key imagecache.pub`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(command *cobra.Command, args []string) error { return v.run(command.Context(), args) },
	}
	v.output.AddFlags(command.Flags())
	command.Flags().StringSliceVar(
		&v.keyFiles, "key", nil, "file with a public key in PEM form, to verify an image by its reference; can be repeated",
	)
	v.flags = cli.AddClusterFlags(command)
	command.ValidArgsFunction = cli.CompleteProjects(v.flags)
	return command
}

type verifyCommand struct {
	streams  cli.Streams
	output   cli.Output
	keyFiles []string
	flags    *cli.ClusterFlags
}

// verified is the result for programs.
type verified struct {
	Image    string `json:"image"`
	Verified bool   `json:"verified"`
	// Problem tells why the signature does not count.
	Problem string `json:"problem,omitempty"`
	KeyID   string `json:"keyID,omitempty"`
	Builder string `json:"builder,omitempty"`
	// Record is the signed statement.
	*provenance.Record
}

func (v *verifyCommand) run(ctx context.Context, args []string) error {
	if err := v.output.Validate(); err != nil {
		return err
	}
	var signature *inspect.Signature
	var err error
	switch {
	case len(args) == 2 && len(v.keyFiles) > 0:
		return cli.UsageError("--key is for an image's reference; a project's keys are in the status of its runner")
	case len(args) == 2:
		signature, err = v.ofProject(ctx, args[0], args[1])
	case len(v.keyFiles) == 0:
		return cli.UsageError("give a project and a hash, or an image's reference with --key FILE")
	default:
		signature, err = v.atReference(ctx, args[0])
	}
	if err != nil {
		return fmt.Errorf("verify image: %w", err)
	}
	return v.print(signature)
}

func (v *verifyCommand) ofProject(ctx context.Context, project, wanted string) (*inspect.Signature, error) {
	connection, namespace, err := v.flags.Connect()
	if err != nil {
		return nil, err
	}
	cache, err := kube.FindProject(ctx, connection, namespace, project)
	if err != nil {
		return nil, err
	}
	hash, err := wholeHash(ctx, connection, cache, strings.ToLower(wanted))
	if err != nil {
		return nil, err
	}
	return inspect.SignatureOf(ctx, connection, cache, hash)
}

func (v *verifyCommand) atReference(ctx context.Context, reference string) (*inspect.Signature, error) {
	keys := make([]provenance.Key, 0, len(v.keyFiles))
	for _, file := range v.keyFiles {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		key, err := provenance.ParseKey(content)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return inspect.SignatureAt(ctx, reference, provenance.NewVerifier(keys...))
}

func (v *verifyCommand) print(signature *inspect.Signature) error {
	result := verified{Image: signature.Image, Verified: signature.Problem == nil}
	if signature.Problem != nil {
		result.Problem = signature.Problem.Error()
	} else {
		result.KeyID, result.Builder = signature.KeyID, provenance.BuilderID
		result.Record = signature.Record
	}
	if !v.output.IsTable() {
		if err := v.output.Encode(v.streams.Out, result); err != nil {
			return err
		}
		if !result.Verified {
			return cli.Code(cli.ExitFailed)
		}
		return nil
	}
	if !result.Verified {
		return errors.New(result.Image + " is not verified: " + result.Problem)
	}
	return v.printTable(&result)
}

func builtFor(result *verified) string {
	text := fmt.Sprintf(
		"request %s/%s (%s) of project %s", result.Namespace, result.Request, result.RequestUID, result.Project,
	)
	if result.Service != "" {
		text += ", service " + result.Service
	}
	return text
}

func (v *verifyCommand) printTable(result *verified) error {
	out := tabwriter.NewWriter(v.streams.Out, 0, 8, 2, ' ', 0)
	for _, fact := range [][2]string{
		{"Image", result.Image},
		{"Signature", "holds, by key " + provenance.ShortID(result.KeyID)},
		{"Built for", builtFor(result)},
		{"Repository", result.RepositoryARN},
		{"Hash", fmt.Sprintf("%s (version %d)", result.Hash, result.HashVersion)},
		{"Platform", result.Platform},
		{"Checked by", fmt.Sprintf("%s, %s, of cluster %s", result.Builder, result.Version, result.Cluster)},
		{"Started", timeText(result.StartedAt)},
		{"Checked", timeText(result.FinishedAt)},
		{"Stated by the runner", statedText(&result.Stated)},
	} {
		_, _ = fmt.Fprintf(out, "%s:\t%s\n", fact[0], shown(fact[1]))
	}
	for n, input := range result.Stated.Inputs {
		label := ""
		if n == 0 {
			label = "Inputs, as stated:"
		}
		_, _ = fmt.Fprintf(out, "%s\t%s %s\n", label, shown(input.Digest), shown(input.Name))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// shown returns a text of a statement for a terminal. Names of inputs come from a workspace: what does not print is
// replaced.
func shown(text string) string {
	const most = 1024
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, message.Line(text, most))
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return display.Unknown
	}
	return at.UTC().Format(time.RFC3339)
}

func statedText(stated *provenance.Stated) string {
	return fmt.Sprintf(
		"environment %s, a build of %s, key coverage %s", display.Or(stated.Environment, display.Unknown),
		display.Seconds(&stated.BuildSeconds), display.Or(stated.KeyCoverage, display.Unknown),
	)
}
