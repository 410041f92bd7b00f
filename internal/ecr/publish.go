package ecr

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/publication"
)

// ErrTagTaken reports that the repository already has an image with the tag: another image, or this one. Compare
// digests.
var ErrTagTaken = errors.New("the tag exists already")

// LayersMissingError reports that the repository lacks blobs that the manifest names.
type LayersMissingError struct {
	// Digests are the digests that ECR named; it may have named none.
	Digests []string
	err     error
}

func (e *LayersMissingError) Error() string {
	return "layers are missing: " + strings.Join(e.Digests, ", ")
}

func (e *LayersMissingError) Unwrap() error { return e.err }

// ManifestRejectedError reports that ECR never accepts this manifest.
type ManifestRejectedError struct{ err error }

func (e *ManifestRejectedError) Error() string {
	return "ECR rejected the manifest: " + aws.Message(e.err)
}

func (e *ManifestRejectedError) Unwrap() error { return e.err }

// Put publishes the manifest with the tag, in one call. The errors that a caller can handle are ErrTagTaken,
// *LayersMissingError and *ManifestRejectedError.
func (i *Images) Put(ctx context.Context, repository, tag string, manifest []byte, mediaType string) error {
	_, err := i.api.PutImage(ctx, &awsecr.PutImageInput{
		RepositoryName:         &repository,
		ImageTag:               &tag,
		ImageManifest:          awssdk.String(string(manifest)),
		ImageManifestMediaType: &mediaType,
		// ECR compares the digest: it does not store a manifest that was changed on the way.
		ImageDigest: awssdk.String(ocidigest.FromBytes(manifest).String()),
	})
	if err != nil {
		return putError(err)
	}
	i.recent.put(
		repository,
		publication.Stored{
			Digest: ocidigest.FromBytes(manifest).String(), PushedAt: i.pushed.Now(), Origin: publication.OriginIn(manifest),
		},
	)
	return nil
}

func putError(err error) error {
	var tagExists *types.ImageTagAlreadyExistsException
	var imageExists *types.ImageAlreadyExistsException
	var missing *types.LayersNotFoundException
	switch {
	case errors.As(err, &tagExists), errors.As(err, &imageExists):
		return ErrTagTaken
	case errors.As(err, &missing):
		return &LayersMissingError{Digests: digestPattern.FindAllString(missing.ErrorMessage(), -1), err: err}
	case aws.ClassOf(err) == aws.ClassInvalid, aws.Code(err) == "ImageDigestDoesNotMatchException",
		aws.Code(err) == "ReferencedImagesNotFoundException":
		return &ManifestRejectedError{err: err}
	}
	return fmt.Errorf("put the image: %w", err)
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
