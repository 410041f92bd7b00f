package ecr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ocidigest "github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/aws"
)

// maxConfig limits the size of an image's configuration that is read, in bytes. Ours are much smaller.
const maxConfig = 1 << 20

// configReads is how many configurations one batch reads concurrently.
const configReads = 8

// acceptedMediaTypes are the media types of manifests that BatchGetImage may return.
var acceptedMediaTypes = []string{
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
}

// findAll answers one batch: one BatchGetImage, and for unknown images one DescribeImages and a read of each
// configuration.
func (i *Images) findAll(ctx context.Context, repository string, tags []string) (map[string]answer, error) {
	answers, err := i.getTagged(ctx, repository, tags)
	if err != nil {
		return nil, err
	}
	unknown := map[string]*Image{}
	for tag, found := range answers {
		if found.image == nil {
			continue
		}
		if known, ok := i.facts.get(repository, found.image.Digest); ok {
			answers[tag] = answer{image: &known}
			continue
		}
		if other, ok := unknown[found.image.Digest]; ok {
			answers[tag] = answer{image: other}
			continue
		}
		unknown[found.image.Digest] = found.image
	}
	if len(unknown) == 0 {
		return answers, nil
	}
	if err := i.describe(ctx, repository, unknown); err != nil {
		return nil, err
	}
	i.readConfigs(ctx, repository, unknown)
	for digest, image := range unknown {
		if image.PushedAt.IsZero() {
			// The image was deleted between the two calls: ECR does not describe it any more.
			forgetAnswers(answers, digest)
			continue
		}
		if image.ConfigErr == nil && !image.Archived {
			i.facts.add(repository, *image)
		}
	}
	return answers, nil
}

func forgetAnswers(answers map[string]answer, digest string) {
	for tag, found := range answers {
		if found.image != nil && found.image.Digest == digest {
			answers[tag] = answer{}
		}
	}
}

// getTagged returns which of the tags exist, and their manifests.
func (i *Images) getTagged(ctx context.Context, repository string, tags []string) (map[string]answer, error) {
	ids := make([]types.ImageIdentifier, len(tags))
	for n := range tags {
		ids[n].ImageTag = &tags[n]
	}
	out, err := i.api.BatchGetImage(ctx, &awsecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: ids, AcceptedMediaTypes: acceptedMediaTypes,
	})
	if err != nil {
		return nil, fmt.Errorf("look up images: %w", err)
	}
	answers := make(map[string]answer, len(tags))
	for _, found := range out.Images {
		if found.ImageId == nil {
			continue
		}
		image := &Image{
			Digest:    awssdk.ToString(found.ImageId.ImageDigest),
			MediaType: awssdk.ToString(found.ImageManifestMediaType),
			Manifest:  []byte(awssdk.ToString(found.ImageManifest)),
		}
		tag := awssdk.ToString(found.ImageId.ImageTag)
		if actual := ocidigest.FromBytes(image.Manifest).String(); actual != image.Digest {
			answers[tag] = answer{
				err: fmt.Errorf("look up image %s: the manifest's digest is %s, not %s", tag, actual, image.Digest),
			}
			continue
		}
		answers[tag] = answer{image: image}
	}
	for _, failure := range out.Failures {
		if failure.ImageId == nil || failure.FailureCode == types.ImageFailureCodeImageNotFound {
			continue
		}
		tag := awssdk.ToString(failure.ImageId.ImageTag)
		answers[tag] = i.failed(ctx, repository, tag, failure)
	}
	return answers, nil
}

// failed distinguishes an archived image, which ECR lists but does not return, from a failed lookup.
func (i *Images) failed(ctx context.Context, repository, tag string, failure types.ImageFailure) answer {
	err := fmt.Errorf("look up image %s: %s: %s", tag, failure.FailureCode, awssdk.ToString(failure.FailureReason))
	if failure.FailureCode != types.ImageFailureCodeImageInaccessible {
		return answer{err: err}
	}
	image, describeErr := i.Archived(ctx, repository, tag)
	if describeErr != nil || image == nil {
		return answer{err: err}
	}
	return answer{image: image}
}

// Archived returns the archived image that has the tag, without manifest and configuration, and nil without an error if
// no archived image has it. ECR may answer Find as if no image had the tag, and still refuse to put another one there:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
func (i *Images) Archived(ctx context.Context, repository, tag string) (*Image, error) {
	out, err := i.api.DescribeImages(ctx, &awsecr.DescribeImagesInput{
		RepositoryName: &repository,
		ImageIds:       []types.ImageIdentifier{{ImageTag: &tag}},
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	if err := ignoreGone(err); err != nil {
		return nil, fmt.Errorf("describe image %s: %w", tag, err)
	}
	if out == nil || len(out.ImageDetails) == 0 {
		return nil, nil
	}
	image := imageOf(out.ImageDetails[0])
	if !image.Archived {
		return nil, nil
	}
	image.Tags = nil
	return &image, nil
}

// describe adds push time, size and state. DescribeImages fails as a whole if one image was deleted meanwhile. Then
// describe asks for each image separately, and deleted ones stay without a push time.
func (i *Images) describe(ctx context.Context, repository string, images map[string]*Image) error {
	var ids []types.ImageIdentifier
	for digest, image := range images {
		if image.PushedAt.IsZero() {
			ids = append(ids, types.ImageIdentifier{ImageDigest: awssdk.String(digest)})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := i.describeSome(ctx, repository, ids, images)
	if aws.ClassOf(err) != aws.ClassNotFound || len(ids) == 1 {
		return ignoreGone(err)
	}
	for n := range ids {
		if err := ignoreGone(i.describeSome(ctx, repository, ids[n:n+1], images)); err != nil {
			return err
		}
	}
	return nil
}

func ignoreGone(err error) error {
	var gone *types.ImageNotFoundException
	if errors.As(err, &gone) {
		return nil
	}
	return err
}

func (i *Images) describeSome(
	ctx context.Context, repository string, ids []types.ImageIdentifier, images map[string]*Image,
) error {
	out, err := i.api.DescribeImages(ctx, &awsecr.DescribeImagesInput{
		RepositoryName: &repository, ImageIds: ids,
		Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	if err != nil {
		return fmt.Errorf("describe images: %w", err)
	}
	for _, detail := range out.ImageDetails {
		described := imageOf(detail)
		if image, ok := images[described.Digest]; ok {
			image.PushedAt, image.SizeBytes, image.Archived = described.PushedAt, described.SizeBytes, described.Archived
		}
	}
	return nil
}

// readConfigs reads the configuration that each manifest names. It stores errors with the image.
func (i *Images) readConfigs(ctx context.Context, repository string, images map[string]*Image) {
	var group errgroup.Group
	group.SetLimit(configReads)
	for _, image := range images {
		if image.Archived || image.PushedAt.IsZero() {
			continue
		}
		group.Go(func() error {
			image.Config, image.ConfigErr = i.configOf(ctx, repository, *image)
			return nil
		})
	}
	_ = group.Wait() // each image holds its own error
}

// configOf returns an image's configuration, and remembers it with the image. Concurrent batches read it once: one that
// comes when another's read has just ended finds what that remembered.
func (i *Images) configOf(ctx context.Context, repository string, image Image) ([]byte, error) {
	content, err, _ := i.reads.Do(repository+"@"+image.Digest, func() (any, error) {
		if known, ok := i.facts.get(repository, image.Digest); ok {
			return known.Config, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		config, err := i.readConfig(ctx, repository, image.Manifest)
		if err != nil {
			return nil, err
		}
		image.Config = config
		i.Remember(repository, image)
		return config, nil
	})
	if err != nil {
		return nil, err
	}
	return content.([]byte), nil
}

// readConfig returns the bytes of the configuration that the manifest names. It returns none for an index, which has
// no configuration.
func (i *Images) readConfig(ctx context.Context, repository string, manifest []byte) ([]byte, error) {
	var named struct {
		Config struct {
			Digest string `json:"digest"`
			Size   int64  `json:"size"`
		} `json:"config"`
	}
	if err := json.Unmarshal(manifest, &named); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	digest := named.Config.Digest
	if digest == "" {
		return nil, nil
	}
	if named.Config.Size > maxConfig {
		return nil, fmt.Errorf("the configuration has %d bytes; the limit is %d", named.Config.Size, maxConfig)
	}
	return i.readBlob(ctx, repository, digest)
}

// readBlob returns the bytes of a blob of an image.
func (i *Images) readBlob(ctx context.Context, repository, digest string) ([]byte, error) {
	out, err := i.api.GetDownloadUrlForLayer(
		ctx, &awsecr.GetDownloadUrlForLayerInput{RepositoryName: &repository, LayerDigest: &digest},
	)
	if err != nil {
		return nil, fmt.Errorf("get the configuration's address: %w", err)
	}
	content, err := i.download(ctx, awssdk.ToString(out.DownloadUrl))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if actual := ocidigest.FromBytes(content).String(); actual != digest {
		return nil, fmt.Errorf("the configuration's digest is %s, not %s", actual, digest)
	}
	return content, nil
}

// download reads from a presigned address. The address is a credential, so it is not part of errors.
func (i *Images) download(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("ECR returned an invalid address")
	}
	response, err := i.http.Do(request)
	if err != nil {
		return nil, errors.New("no answer from the address that ECR returned")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the address that ECR returned answered %s", response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxConfig+1))
	if err != nil {
		return nil, errors.New("the answer ended early")
	}
	if len(content) > maxConfig {
		return nil, fmt.Errorf("the configuration exceeds the limit of %d bytes", maxConfig)
	}
	return content, nil
}
