package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/inspect"
)

// evictPoll is how often the command reads the project until the controller has removed the image.
const evictPoll = 200 * time.Millisecond

// NewEvict returns the command `imagecache evict`.
func NewEvict(streams cli.Streams) *cobra.Command {
	var flags *cli.ClusterFlags
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "evict PROJECT HASH",
		Short: "Remove one image from a project's cache",
		Long: `Remove the image of one hash from a project's cache. The next environment with its configuration builds it again.

The controller removes the image, because only it may delete from the repository. HASH is the whole hash, or as many of
its first characters as identify one image. To remove all images before a time, set the project's
spec.invalidatePushedBefore instead.`,
		Example: `  # find the hash, then remove its image
  imagecache images web
  imagecache evict web 4f3c21a9b7e0`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return evict(command.Context(), streams, flags, args[0], args[1], timeout)
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the controller")
	flags = cli.AddClusterFlags(command)
	command.ValidArgsFunction = cli.CompleteProjects(flags)
	return command
}

func evict(
	ctx context.Context, streams cli.Streams, flags *cli.ClusterFlags, project, wanted string, timeout time.Duration,
) error {
	connection, namespace, err := flags.Connect()
	if err != nil {
		return err
	}
	cache, err := kube.FindProject(ctx, connection, namespace, project)
	if err != nil {
		return err
	}
	hash, err := wholeHash(ctx, connection, cache, strings.ToLower(wanted))
	if err != nil {
		return err
	}
	if err := kube.Evict(ctx, connection, cache, hash); err != nil {
		return err
	}
	key := client.ObjectKeyFromObject(cache)
	err = wait.PollUntilContextTimeout(ctx, evictPoll, timeout, false, func(ctx context.Context) (bool, error) {
		return kube.IsEvicted(ctx, connection, key, hash)
	})
	switch {
	case err == nil:
		return cli.WriteLine(streams.Out, fmt.Sprintf("image %s evicted from project %s", hash, cache.Name))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf(
			"evict image: the controller did not remove it within %s; the request stays, and the controller removes the image when it runs",
			timeout,
		)
	}
	return fmt.Errorf("evict image: %w", err)
}

// wholeHash completes the prefix of a hash.
func wholeHash(ctx context.Context, c client.Client, cache *v1alpha1.ProjectImageCache, wanted string) (string, error) {
	const digits = 64
	if strings.Trim(wanted, "0123456789abcdef") != "" || len(wanted) > digits || len(wanted) < 4 {
		return "", cli.UsageError("%q is not a hash: give 64 hex characters, or at least the first 4 of them", wanted)
	}
	if len(wanted) == digits {
		return wanted, nil
	}
	images, _, err := inspect.Images(ctx, c, cache, false)
	if err != nil {
		return "", err
	}
	matches := slices.DeleteFunc(images, func(image catalog.Image) bool { return !strings.HasPrefix(image.Hash, wanted) })
	switch len(matches) {
	case 0:
		return "", fmt.Errorf("no image of project %s has a hash that begins with %s", cache.Name, wanted)
	case 1:
		return matches[0].Hash, nil
	}
	return "", fmt.Errorf(
		"%d images of project %s have hashes that begin with %s; give more characters", len(matches), cache.Name, wanted,
	)
}
