package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/display"
	"imagecache.dev/internal/inspect"
)

// NewImages returns the command `imagecache images`.
func NewImages(streams cli.Streams) *cobra.Command {
	var output cli.Output
	var clusterOnly bool
	var flags *cli.ClusterFlags
	command := &cobra.Command{
		Use:   "images PROJECT",
		Short: "Show the images in a project's cache",
		Long: `Show the images in a project's cache, newest first: hash, size, the times of push, expiry and last pull, the duration
of the build, and the environment that built the image. An image that was pulled within the last 14 days and expires
within 7 days, or the last quarter of a shorter retentionDays, is due: imagecache prebuild --due replaces it. With
-o wide the table also has the Docker Compose service that an image is of, and the findings of ECR's scan. JSON also
shows the inputs of the hash.

The list comes from ECR, with your own AWS credentials (ecr:DescribeImages). Without credentials the list holds the
images of the requests that the cluster still has. The time of the last pull is the later one of those that ECR recorded
and the requests show; ECR also records what the manager reads, unless its role is excluded (docs/operating.md).

For build time, environment and inputs of images that no request describes, the command reads their manifests with the
project's pull credentials, which ECR records as a pull. It does not read them if the project has
spec.expireUnusedAfterDays.`,
		Example: `  # show the images of project web
  imagecache images web

  # show every digest, as JSON
  imagecache images web -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := output.Validate(); err != nil {
				return err
			}
			images, err := listImages(command.Context(), streams, flags, args[0], clusterOnly)
			if err != nil {
				return err
			}
			return printImages(streams, &output, images, time.Now())
		},
	}
	output.AddFlags(command.Flags())
	command.Flags().BoolVar(&clusterOnly, "cluster-only", false, "don't call AWS")
	flags = cli.AddClusterFlags(command)
	command.ValidArgsFunction = cli.CompleteProjects(flags)
	return command
}

func listImages(
	ctx context.Context, streams cli.Streams, flags *cli.ClusterFlags, project string, clusterOnly bool,
) ([]catalog.Image, error) {
	connection, namespace, err := flags.Connect()
	if err != nil {
		return nil, err
	}
	cache, err := kube.FindProject(ctx, connection, namespace, project)
	if err != nil {
		return nil, err
	}
	images, notice, err := inspect.Images(ctx, connection, cache, clusterOnly)
	if err != nil {
		return nil, err
	}
	if notice != "" {
		_, _ = fmt.Fprintln(streams.Err, "imagecache: "+notice)
	}
	return images, nil
}

func printImages(streams cli.Streams, output *cli.Output, images []catalog.Image, now time.Time) error {
	if !output.IsTable() {
		return output.Encode(streams.Out, images)
	}
	if len(images) == 0 {
		return cli.WriteLine(streams.Err, "No images found.")
	}
	columns := []cli.Column{
		{
			Name: "Hash",
		},
		{Name: "Size"}, {Name: "Pushed"}, {Name: "Expires"}, {Name: "Last Pulled"}, {Name: "Pulls", Wide: true},
		{Name: "Build"}, {Name: "Environment"}, {Name: "Service", Wide: true}, {Name: "Digest", Wide: true},
		{Name: "Findings", Wide: true},
	}
	var rows [][]any
	for _, image := range images {
		hash := image.Hash
		if output.Format != cli.FormatWide && len(hash) > shortHash {
			hash = hash[:shortHash]
		}
		pulled := "never"
		if image.LastPulledAt != nil {
			pulled = display.Age(image.LastPulledAt, now)
		}
		expires := display.Until(image.ExpiresAt, now)
		switch {
		case image.Archived:
			expires = "archived"
		case image.IsDue(now):
			expires += ", due"
		}
		rows = append(rows, []any{
			hash, display.Size(image.SizeBytes), display.Age(image.PushedAt, now), expires, pulled, image.Pulls,
			display.Seconds(image.BuildSeconds), display.Or(image.Environment, display.Unknown),
			display.Or(image.Service, display.None), image.Digest, display.Findings(image.Findings),
		})
	}
	return output.Table(streams.Out, columns, rows)
}

// shortHash is how many characters of a hash a table shows, and how many a prefix may have.
const shortHash = 12
