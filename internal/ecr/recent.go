package ecr

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/publication"
)

const (
	// maxRecent is how many of a repository's newest images are kept with their origins. One call reads them.
	maxRecent = maxImageIDs
	// recentAge is the greatest age of a read. It may still contain images that were deleted or have expired since.
	recentAge = 5 * time.Minute
	// recentRetry is the pause after a failed read.
	recentRetry = time.Minute
	// maxRecentPages limits the pages of one read. ECR lists images in no order, so if a repository has more images
	// than these pages hold, some of the newest may be missing.
	maxRecentPages = 10
	// recentTimeout limits one read with all its calls.
	recentTimeout = 20 * time.Second
)

// Recent returns the newest images that can be pulled, newest first, with their origins. The result is at most
// recentAge old and includes images that this process put or deleted since then. A read costs one DescribeImages for
// each thousand images, and one BatchGetImage if there are new ones: facts that a digest fixes are kept. Callers
// share a read, and it continues when they leave. Use it for explanations: an error only means that nothing is known
// now.
func (i *Images) Recent(ctx context.Context, repository string) ([]publication.Stored, error) {
	if known, fresh, err := i.recent.get(repository, i.clock.Now()); fresh {
		return newestFirst(known), err
	}
	reading := i.reads.DoChan("recent images of "+repository, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), recentTimeout)
		defer cancel()
		return i.readRecent(ctx, repository)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("read recent images: %w", ctx.Err())
	case read := <-reading:
		if read.Err != nil {
			return nil, read.Err
		}
		return newestFirst(read.Val.(map[string]publication.Stored)), nil
	}
}

// readRecent reads a repository's newest images, and keeps the result.
func (i *Images) readRecent(ctx context.Context, repository string) (map[string]publication.Stored, error) {
	began := i.clock.Now()
	if known, fresh, err := i.recent.get(repository, began); fresh { // another read has just ended
		return known, err
	}
	known := i.recent.begin(repository)
	images, err := i.listRecent(ctx, repository)
	if err == nil {
		err = i.addOrigins(ctx, repository, images, known)
	}
	if err != nil {
		i.recent.fail(repository, i.clock.Now(), err)
		return nil, err
	}
	return i.recent.set(repository, began, images), nil
}

// listRecent returns the newest images of a repository, without their origins.
func (i *Images) listRecent(ctx context.Context, repository string) (map[string]publication.Stored, error) {
	var listed []publication.Stored
	pages := awsecr.NewDescribeImagesPaginator(i.api, &awsecr.DescribeImagesInput{
		RepositoryName: &repository,
		MaxResults:     awssdk.Int32(maxPage),
		Filter: &types.DescribeImagesFilter{
			TagStatus: types.TagStatusTagged, ImageStatus: types.ImageStatusFilterActive,
		},
	})
	for n := 0; n < maxRecentPages && pages.HasMorePages(); n++ {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list recent images: %w", err)
		}
		for _, detail := range out.ImageDetails {
			listed = append(
				listed,
				publication.Stored{Digest: awssdk.ToString(detail.ImageDigest), PushedAt: awssdk.ToTime(detail.ImagePushedAt)},
			)
		}
	}
	slices.SortFunc(listed, compareAge)
	images := map[string]publication.Stored{}
	for _, image := range listed[:min(len(listed), maxRecent)] {
		images[image.Digest] = image
	}
	return images, nil
}

// addOrigins reads the origins of images, except the known ones. It removes images that were deleted meanwhile.
func (i *Images) addOrigins(ctx context.Context, repository string, images, known map[string]publication.Stored) error {
	var ids []types.ImageIdentifier
	for digest, image := range images {
		if before, ok := known[digest]; ok {
			image.Origin = before.Origin
			images[digest] = image
			continue
		}
		ids = append(ids, types.ImageIdentifier{ImageDigest: awssdk.String(digest)})
	}
	if len(ids) == 0 {
		return nil
	}
	out, err := i.api.BatchGetImage(ctx, &awsecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: ids, AcceptedMediaTypes: acceptedMediaTypes,
	})
	if err != nil {
		return fmt.Errorf("read recent images: %w", err)
	}
	manifests := map[string][]byte{}
	for _, found := range out.Images {
		manifest := []byte(awssdk.ToString(found.ImageManifest))
		manifests[ocidigest.FromBytes(manifest).String()] = manifest
	}
	for _, id := range ids {
		digest := *id.ImageDigest
		manifest, found := manifests[digest]
		if !found {
			delete(images, digest)
			continue
		}
		image := images[digest]
		image.Origin = publication.OriginIn(manifest)
		images[digest] = image
	}
	return nil
}

func newestFirst(images map[string]publication.Stored) []publication.Stored {
	sorted := make([]publication.Stored, 0, len(images))
	for _, image := range images {
		sorted = append(sorted, image)
	}
	slices.SortFunc(sorted, compareAge)
	return sorted
}

func compareAge(a, b publication.Stored) int {
	return cmp.Or(b.PushedAt.Compare(a.PushedAt), cmp.Compare(a.Digest, b.Digest))
}
