package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/catalog"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/inspect"
)

func newImages(streams streams) *cobra.Command {
	var output output
	var clusterOnly bool
	var cluster *cluster
	command := &cobra.Command{
		Use:   "images PROJECT",
		Short: "Show the images in a project's cache",
		Long: `Show the images in a project's cache, newest first: hash, size, the times of push, expiry and last pull, the duration
of the build, and the environment that built the image. JSON also shows the inputs of the hash.

The list comes from ECR, with your own AWS credentials (ecr:DescribeImages). Without credentials the list holds the
images of the requests that the cluster still has. The time of the last pull comes from these requests.`,
		Example: `  # show the images of project web
  imagecache images web

  # show every digest, as JSON
  imagecache images web -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := output.validate(); err != nil {
				return err
			}
			images, err := listImages(command.Context(), streams, cluster, args[0], clusterOnly)
			if err != nil {
				return err
			}
			return printImages(streams, &output, images, time.Now())
		},
	}
	output.addFlags(command.Flags())
	command.Flags().BoolVar(&clusterOnly, "cluster-only", false, "don't call AWS")
	cluster = addClusterFlags(command)
	command.ValidArgsFunction = completeProjects(cluster)
	return command
}

func listImages(
	ctx context.Context, streams streams, cluster *cluster, project string, clusterOnly bool,
) ([]catalog.Image, error) {
	connection, namespace, err := cluster.connect()
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
		_, _ = fmt.Fprintln(streams.err, "imagecache: "+notice)
	}
	return images, nil
}

func printImages(streams streams, output *output, images []catalog.Image, now time.Time) error {
	if !output.isTable() {
		return output.encode(streams.out, images)
	}
	if len(images) == 0 {
		return writeLine(streams.err, "No images found.")
	}
	columns := []column{
		{
			name: "Hash",
		},
		{name: "Size"}, {name: "Pushed"}, {name: "Expires"}, {name: "Last Pulled"}, {name: "Pulls", wide: true},
		{name: "Build"}, {name: "Environment"}, {name: "Digest", wide: true},
	}
	var rows [][]any
	for _, image := range images {
		hash := image.Hash
		if output.format != "wide" && len(hash) > shortHash {
			hash = hash[:shortHash]
		}
		pulled := "never"
		if image.LastPulledAt != nil {
			pulled = ageText(image.LastPulledAt, now)
		}
		expires := untilText(image.ExpiresAt, now)
		if image.Archived {
			expires = "archived"
		}
		rows = append(rows, []any{
			hash, sizeText(image.SizeBytes), ageText(image.PushedAt, now), expires, pulled, image.Pulls,
			secondsText(image.BuildSeconds), textOr(image.Environment, unknown), image.Digest,
		})
	}
	return output.table(streams.out, columns, rows)
}

// shortHash is how many characters of a hash a table shows, and how many a prefix may have.
const shortHash = 12
