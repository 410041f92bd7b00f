package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/registrylogin"
	"imagecache.dev/internal/transfer"
)

// errPublicationOver is why an upload ends before all blobs are there: the image is published, or will not be.
var errPublicationOver = errors.New("the publication has ended")

// uploadMissing uploads the blobs that the status lists. It goes on with the rights that replace the first ones, and
// returns errPublicationOver if there will be no others.
func (p *preparation) uploadMissing(
	ctx context.Context, image *v1alpha1.DevcontainerImage, built *candidate, attempt int32,
) error {
	repository, err := name.NewRepository(image.Status.RepositoryURI)
	if err != nil {
		return fmt.Errorf("upload image: %w", err)
	}
	read := func(ctx context.Context) ([]byte, error) {
		return cluster.CredentialSecret(ctx, p.runner.Client, image.Namespace, image.Status.PushCredentials.SecretName)
	}
	secret, err := read(ctx)
	if err != nil {
		return err
	}
	login, err := registrylogin.New(repository.RegistryStr(), secret, read)
	if err != nil {
		return err
	}
	blobs := make([]v1.Layer, 0, len(image.Status.MissingLayers))
	for _, digest := range image.Status.MissingLayers {
		blob, known := built.blobs[digest]
		if !known {
			return fmt.Errorf("upload image: the cache asks for %s, which is not part of this image", digest)
		}
		blobs = append(blobs, blob)
	}
	step := p.steps.start("Upload", fmt.Sprintf("Uploading %d of %d blobs", len(blobs), len(built.blobs)))
	uploading, stop := p.followRights(ctx, image, login, attempt)
	defer stop()
	bytes, err := transfer.Upload(uploading, repository, login, blobs, step.progress)
	if err == nil {
		err = builder.Prove(uploading, p.saved.Image)
	}
	if err != nil {
		err = causeOr(uploading, err)
		step.failed(err.Error())
		return err
	}
	step.finished(fmt.Sprintf("Uploaded %d of %d blobs, %s", len(blobs), len(built.blobs), megabytes(bytes)))
	return nil
}

// followRights reads the Secret again when the status shows new upload rights, and ends the returned context when the
// publication is over. stop ends it and returns when nothing more is read; the watch is the caller's again then.
func (p *preparation) followRights(
	ctx context.Context, image *v1alpha1.DevcontainerImage, login *registrylogin.Login, attempt int32,
) (uploading context.Context, stop func()) {
	uploading, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		until := image.Status.PushCredentials.ExpiresAt
		for {
			select {
			case <-uploading.Done():
				return
			case <-p.watch.Changed():
			}
			current, deleted := p.watch.State()
			next := decidePublish(current, attempt).State
			if deleted || next == publishDone || next == publishRefused {
				cancel(errPublicationOver)
				return
			}
			if granted := current.Status.PushCredentials; granted != nil && !granted.ExpiresAt.Equal(&until) {
				until = granted.ExpiresAt
				login.Renew(uploading, "")
			}
		}
	}()
	return uploading, func() {
		cancel(nil)
		<-done
	}
}
