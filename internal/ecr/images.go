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
	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/lru"
)

// maxImageIDs is how many images one call accepts:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html
const maxImageIDs = 100

// maxPage is how many items a page of a list has at most:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
const maxPage = 1000

// imagesAPI is the part of ECR that Images calls; *awsecr.Client implements it.
type imagesAPI interface {
	BatchGetImage(
		context.Context, *awsecr.BatchGetImageInput, ...func(*awsecr.Options),
	) (*awsecr.BatchGetImageOutput, error)
	BatchDeleteImage(
		context.Context, *awsecr.BatchDeleteImageInput, ...func(*awsecr.Options),
	) (*awsecr.BatchDeleteImageOutput, error)
	BatchCheckLayerAvailability(
		context.Context, *awsecr.BatchCheckLayerAvailabilityInput, ...func(*awsecr.Options),
	) (*awsecr.BatchCheckLayerAvailabilityOutput, error)
	CompleteLayerUpload(
		context.Context, *awsecr.CompleteLayerUploadInput, ...func(*awsecr.Options),
	) (*awsecr.CompleteLayerUploadOutput, error)
	DescribeImages(
		context.Context, *awsecr.DescribeImagesInput, ...func(*awsecr.Options),
	) (*awsecr.DescribeImagesOutput, error)
	GetDownloadUrlForLayer(
		context.Context, *awsecr.GetDownloadUrlForLayerInput, ...func(*awsecr.Options),
	) (*awsecr.GetDownloadUrlForLayerOutput, error)
	InitiateLayerUpload(
		context.Context, *awsecr.InitiateLayerUploadInput, ...func(*awsecr.Options),
	) (*awsecr.InitiateLayerUploadOutput, error)
	ListImageReferrers(
		context.Context, *awsecr.ListImageReferrersInput, ...func(*awsecr.Options),
	) (*awsecr.ListImageReferrersOutput, error)
	PutImage(context.Context, *awsecr.PutImageInput, ...func(*awsecr.Options)) (*awsecr.PutImageOutput, error)
	UploadLayerPart(
		context.Context, *awsecr.UploadLayerPartInput, ...func(*awsecr.Options),
	) (*awsecr.UploadLayerPartOutput, error)
}

// Image is an image in a repository.
type Image struct {
	Digest    string
	MediaType string
	// Only List sets Tags and Referrers. Referrers are the digests of the images that name this one as their subject.
	Tags      []string
	Referrers []string
	// Manifest and Config are the bytes of the manifest and the configuration. Their SHA-256 were compared with the
	// digests that name them. Config is empty for an index, and if ConfigErr tells why it could not be read.
	Manifest  []byte
	Config    []byte
	ConfigErr error
	PushedAt  time.Time
	SizeBytes int64
	// Archived images are listed but can't be pulled.
	Archived bool
	// Only List sets LastPulledAt and Findings. LastPulledAt is when ECR last recorded a pull, within a day; zero if it
	// recorded none. Findings are the numbers of a scan's findings by their severity, nil without a scan.
	LastPulledAt time.Time
	Findings     map[string]int32
}

// Images looks up and publishes the images of one account and region. It is safe for concurrent use. Create one for
// each target and keep it: callers share its lookups and its facts about digests.
type Images struct {
	api    imagesAPI
	http   awssdk.HTTPClient
	clock  clock.PassiveClock
	pushed clock.PassiveClock // AWS' clock, for images that are published now
	facts  *factCache
	recent *recentCache
	lookup *batcher
	reads  singleflight.Group // reads of configurations, by repository and digest, and of recent images
}

// NewImages returns the Images of a target. What it remembers counts towards the budget, which several targets may
// share.
func NewImages(clients *aws.Clients, clock clock.PassiveClock, budget *lru.Budget) *Images {
	images := &Images{
		api: clients.ECR, http: clients.HTTP, clock: clock, pushed: clients.Clock(clock), facts: newFactCache(budget),
		recent: newRecentCache(budget),
	}
	images.lookup = newBatcher(images.findAll)
	return images
}

// Close forgets what Images remembers, for good. Whoever still has it may go on calling it.
func (i *Images) Close() {
	i.facts.images.Close()
	i.recent.repositories.Close()
}

// Find returns the image that has the tag now, and nil without an error if no image has it. It asks ECR each time, in
// one call for all callers of the same few milliseconds. It remembers only what a digest fixes forever. A missing
// repository is an error of class NotFound.
func (i *Images) Find(ctx context.Context, repository, tag string) (*Image, error) {
	return i.lookup.find(ctx, repository, tag)
}

// Remember keeps the facts of an image that was just published, so that finding it again reads only the tag. It
// ignores inconsistent facts.
func (i *Images) Remember(repository string, image Image) {
	if image.PushedAt.IsZero() || len(image.Config) == 0 || ocidigest.FromBytes(image.Manifest).String() != image.Digest {
		return
	}
	i.facts.add(repository, image)
}

// MissingBlobs returns those of the digests, in their order, that the repository does not have.
func (i *Images) MissingBlobs(ctx context.Context, repository string, digests []string) ([]string, error) {
	available := make(map[string]bool, len(digests))
	for start := 0; start < len(digests); start += maxImageIDs {
		out, err := i.api.BatchCheckLayerAvailability(ctx, &awsecr.BatchCheckLayerAvailabilityInput{
			RepositoryName: &repository,
			LayerDigests:   digests[start:min(start+maxImageIDs, len(digests))],
		})
		if err != nil {
			return nil, fmt.Errorf("check which layers exist: %w", err)
		}
		for _, layer := range out.Layers {
			if layer.LayerAvailability == types.LayerAvailabilityAvailable {
				available[awssdk.ToString(layer.LayerDigest)] = true
			}
		}
	}
	var missing []string
	for _, digest := range digests {
		if !available[digest] {
			missing = append(missing, digest)
		}
	}
	return missing, nil
}

// Delete removes images with all their tags, a hundred per call. It succeeds for images that do not exist.
func (i *Images) Delete(ctx context.Context, repository string, digests ...string) error {
	_, err := i.DeleteAll(ctx, repository, digests)
	return err
}

// DeleteAll removes images with all their tags, a hundred per call, and returns the digests of those that do not exist
// any more, also with an error. If ECR does not remove an image, the others are removed all the same; the error is of
// the first such image. A call that fails ends the removal.
func (i *Images) DeleteAll(ctx context.Context, repository string, digests []string) (gone []string, err error) {
	for page := range slices.Chunk(digests, maxImageIDs) {
		ids := make([]types.ImageIdentifier, len(page))
		for n := range page {
			ids[n].ImageDigest = &page[n]
			i.facts.forget(repository, page[n])
		}
		out, failed := i.api.BatchDeleteImage(ctx, &awsecr.BatchDeleteImageInput{RepositoryName: &repository, ImageIds: ids})
		if failed != nil {
			return gone, cmp.Or(err, fmt.Errorf("delete images: %w", failed))
		}
		i.recent.forget(repository, page)
		stays := map[string]bool{}
		for _, failure := range out.Failures {
			if failure.FailureCode == types.ImageFailureCodeImageNotFound {
				continue
			}
			if failure.ImageId != nil {
				stays[awssdk.ToString(failure.ImageId.ImageDigest)] = true
			}
			err = cmp.Or(err, fmt.Errorf("delete images: %s: %s", failure.FailureCode, awssdk.ToString(failure.FailureReason)))
		}
		for _, digest := range page {
			if !stays[digest] {
				gone = append(gone, digest)
			}
		}
	}
	return gone, err
}

// List returns all images of the repository, without manifests and configurations, 1,000 per call. What names another
// image as its subject, such as a signature, is not listed itself.
func (i *Images) List(ctx context.Context, repository string) ([]Image, error) {
	var images []Image
	referrers := map[string][]string{}
	pages := awsecr.NewDescribeImagesPaginator(i.api, &awsecr.DescribeImagesInput{
		RepositoryName: &repository,
		MaxResults:     awssdk.Int32(maxPage),
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the images: %w", err)
		}
		for _, detail := range out.ImageDetails {
			if subject := awssdk.ToString(detail.SubjectManifestDigest); subject != "" {
				referrers[subject] = append(referrers[subject], awssdk.ToString(detail.ImageDigest))
				continue
			}
			image := imageOf(detail)
			image.LastPulledAt = awssdk.ToTime(detail.LastRecordedPullTime)
			if scan := detail.ImageScanFindingsSummary; scan != nil {
				image.Findings = scan.FindingSeverityCounts
			}
			images = append(images, image)
		}
	}
	for n := range images {
		images[n].Referrers = referrers[images[n].Digest]
	}
	return images, nil
}

func imageOf(detail types.ImageDetail) Image {
	return Image{
		Digest:    awssdk.ToString(detail.ImageDigest),
		MediaType: awssdk.ToString(detail.ImageManifestMediaType),
		Tags:      detail.ImageTags,
		PushedAt:  awssdk.ToTime(detail.ImagePushedAt),
		SizeBytes: awssdk.ToInt64(detail.ImageSizeInBytes),
		Archived:  detail.ImageStatus != "" && detail.ImageStatus != types.ImageStatusActive,
	}
}
