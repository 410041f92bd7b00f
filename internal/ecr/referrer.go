package ecr

import (
	"context"
	"errors"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/aws"
)

// maxReferrerPage is how many referrers a page has at most:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
const maxReferrerPage = 50

// maxPart is how many bytes of a blob one call can take:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
const maxPart = 20 << 20

// Referrer is an image that names another as its subject.
type Referrer struct {
	Digest       string
	ArtifactType string
	Annotations  map[string]string
}

// Referrers returns the images that name a digest as their subject, of one artifact type, or of all if that is empty.
// Nobody need have made them in good faith: whoever can put images can put referrers.
func (i *Images) Referrers(ctx context.Context, repository, digest, artifactType string) ([]Referrer, error) {
	in := &awsecr.ListImageReferrersInput{
		RepositoryName: &repository, SubjectId: &types.SubjectIdentifier{ImageDigest: &digest},
		MaxResults: awssdk.Int32(maxReferrerPage),
		Filter:     &types.ListImageReferrersFilter{ArtifactStatus: types.ArtifactStatusFilterAny},
	}
	if artifactType != "" {
		in.Filter.ArtifactTypes = []string{artifactType}
	}
	var referrers []Referrer
	for {
		out, err := i.api.ListImageReferrers(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the image's referrers: %w", err)
		}
		for _, found := range out.Referrers {
			referrers = append(referrers, Referrer{
				Digest:       awssdk.ToString(found.Digest),
				ArtifactType: awssdk.ToString(found.ArtifactType),
				Annotations:  found.Annotations,
			})
		}
		if in.NextToken = out.NextToken; awssdk.ToString(in.NextToken) == "" {
			return referrers, nil
		}
	}
}

// Manifest returns an image's manifest and its media type by its digest, or nil without an error if it does not exist.
// ECR counts that as a pull.
func (i *Images) Manifest(ctx context.Context, repository, digest string) (manifest []byte, mediaType string, err error) {
	out, err := i.api.BatchGetImage(ctx, &awsecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}},
		AcceptedMediaTypes: acceptedMediaTypes,
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the manifest: %w", err)
	}
	for _, failure := range out.Failures {
		if failure.FailureCode != types.ImageFailureCodeImageNotFound {
			return nil, "", fmt.Errorf("read the manifest: %s: %s", failure.FailureCode, awssdk.ToString(failure.FailureReason))
		}
	}
	if len(out.Images) == 0 {
		return nil, "", nil
	}
	manifest = []byte(awssdk.ToString(out.Images[0].ImageManifest))
	if actual := ocidigest.FromBytes(manifest).String(); actual != digest {
		return nil, "", fmt.Errorf("read the manifest: its digest is %s, not %s", actual, digest)
	}
	return manifest, awssdk.ToString(out.Images[0].ImageManifestMediaType), nil
}

// Remove deletes an image with its referrers. It succeeds for an image that does not exist. Without the right to list
// referrers it deletes the image alone: ECR removes the referrers of a removed image within a day.
func (i *Images) Remove(ctx context.Context, repository, digest string) error {
	referrers, err := i.Referrers(ctx, repository, digest, "")
	if err != nil && aws.ClassOf(err) != aws.ClassAccessDenied {
		return err
	}
	digests := []string{digest}
	for _, referrer := range referrers {
		digests = append(digests, referrer.Digest)
	}
	return i.Delete(ctx, repository, digests...)
}

// Upload stores a small blob, of at most 20 MiB, and returns its digest. It succeeds for a blob that exists.
func (i *Images) Upload(ctx context.Context, repository string, content []byte) (digest string, err error) {
	digest = ocidigest.FromBytes(content).String()
	if len(content) == 0 || len(content) > maxPart {
		return "", fmt.Errorf("upload a blob of %d bytes: it must have between 1 and %d", len(content), maxPart)
	}
	missing, err := i.MissingBlobs(ctx, repository, []string{digest})
	if err != nil || len(missing) == 0 {
		return digest, err
	}
	begun, err := i.api.InitiateLayerUpload(ctx, &awsecr.InitiateLayerUploadInput{RepositoryName: &repository})
	if err != nil {
		return "", fmt.Errorf("begin to upload a blob: %w", err)
	}
	if _, err := i.api.UploadLayerPart(ctx, &awsecr.UploadLayerPartInput{
		RepositoryName: &repository, UploadId: begun.UploadId, LayerPartBlob: content,
		PartFirstByte: awssdk.Int64(0), PartLastByte: awssdk.Int64(int64(len(content)) - 1),
	}); err != nil {
		return "", fmt.Errorf("upload a blob: %w", err)
	}
	_, err = i.api.CompleteLayerUpload(ctx, &awsecr.CompleteLayerUploadInput{
		RepositoryName: &repository, UploadId: begun.UploadId, LayerDigests: []string{digest},
	})
	var exists *types.LayerAlreadyExistsException
	if err != nil && !errors.As(err, &exists) {
		return "", fmt.Errorf("finish the upload of a blob: %w", err)
	}
	return digest, nil
}

// PutReferrer puts a manifest without a tag. It succeeds for a manifest that exists. The errors that a caller can
// handle are *LayersMissingError and *ManifestRejectedError.
func (i *Images) PutReferrer(ctx context.Context, repository string, manifest []byte, mediaType string) error {
	_, err := i.api.PutImage(ctx, &awsecr.PutImageInput{
		RepositoryName:         &repository,
		ImageManifest:          awssdk.String(string(manifest)),
		ImageManifestMediaType: &mediaType,
		ImageDigest:            awssdk.String(ocidigest.FromBytes(manifest).String()),
	})
	if err == nil {
		return nil
	}
	if err = putError(err); errors.Is(err, ErrTagTaken) {
		return nil
	}
	return err
}
