package devcontainerimage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/publication"
)

// publish asks for the missing layers, and tags the image with its hash when none is missing. Once the runner was asked
// for layers it must have reported its upload, too: it proves the image before that, and a complete repository proves
// nothing.
func (r *Reconciler) publish(ctx context.Context, p *pass, built *publication.Image) (ending, error) {
	repository, err := projects.ClosedRepositoryOf(p.project)
	if err != nil {
		return ending{}, err
	}
	if p.uploadIsNews() {
		return r.advanceUpload(ctx, p, repository, built)
	}
	if p.uploadLeft() > renewBefore { // nothing can be due
		return p.awaitUpload()
	}
	end, err := r.advanceUpload(ctx, p, repository, built)
	if err != nil && p.uploadIsOverdue() && !isUploading(err) {
		// Whatever keeps the manager from the check or from further rights must not keep the request.
		_, why := outcome.Reason(err)
		return r.timeOut(ctx, p, "the upload rights have ended, and there are no others: "+why)
	}
	return end, err
}

// advanceUpload checks the layers, and does what that asks for.
func (r *Reconciler) advanceUpload(
	ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image,
) (ending, error) {
	missing, err := r.missingLayers(ctx, p, repository, built)
	if err != nil {
		return ending{}, err
	}
	switch {
	case len(missing) > 0:
		return r.askFor(ctx, p, repository, built, missing)
	case !p.uploadIsNews():
		return r.awaitReport(ctx, p)
	}
	return r.put(ctx, p, repository, built)
}

// missingLayers returns the digests of the layers that the repository lacks.
func (r *Reconciler) missingLayers(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) ([]string, error) {
	images, err := r.images(ctx, p)
	if err != nil {
		return nil, err
	}
	missing, err := images.MissingBlobs(ctx, repository.Name, built.Blobs)
	if err != nil {
		return nil, fmt.Errorf("check layers: %w", err)
	}
	return missing, nil
}

// put signs the image and publishes it by one PutImage with the hash that the controller knows as its tag. The first image wins,
// and an unusable image is replaced. Each step can be repeated.
func (r *Reconciler) put(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) (ending, error) {
	images, err := r.images(ctx, p)
	if err != nil {
		return ending{}, err
	}
	signed, err := r.sign(ctx, p, repository, built)
	if err != nil {
		return ending{}, err
	}
	err = images.Put(ctx, repository.Name, p.status.ConfigHash, signed.Manifest, signed.MediaType)
	var missing *ecr.LayersMissingError
	var rejected *ecr.ManifestRejectedError
	switch {
	case errors.As(err, &missing):
		return r.askAgain(ctx, p, repository, built)
	case errors.As(err, &rejected):
		return r.conclude(ctx, p, fate{reason: v1alpha1.ReasonManifestRejected, message: rejected.Error()})
	case errors.Is(err, ecr.ErrTagTaken):
		return r.taken(ctx, p, repository, signed)
	case err != nil:
		return ending{}, fmt.Errorf("publish image: %w", err)
	}
	return r.publishedAs(ctx, p, signed)
}

// askAgain asks for layers that ECR lost between the check and the publication.
func (r *Reconciler) askAgain(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) (ending, error) {
	missing, err := r.missingLayers(ctx, p, repository, built)
	if err != nil {
		return ending{}, err
	}
	if len(missing) == 0 {
		return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, time.Second,
			"ECR does not show all uploaded layers yet")
	}
	return r.askFor(ctx, p, repository, built, missing)
}

// taken handles a tag that exists already: the image is this build's, or must be replaced, or another's image was
// first.
func (r *Reconciler) taken(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, signed *publication.Image) (ending, error) {
	images, err := r.images(ctx, p)
	if err != nil {
		return ending{}, err
	}
	keys, err := r.Keys.Current()
	if err != nil {
		return ending{}, err
	}
	current, err := r.find(ctx, p, repository)
	if err != nil {
		return ending{}, err
	}
	if current == nil {
		if current, err = images.Archived(ctx, repository.Name, p.status.ConfigHash); err != nil {
			return ending{}, fmt.Errorf("look up archived image: %w", err)
		}
	}
	if current == nil {
		return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, time.Second,
			"ECR reports that the tag exists, but returns no image for it")
	}
	if current.Digest == signed.Digest {
		return r.publishedAs(ctx, p, signed)
	}
	if current.Digest != p.status.ReplacesDigest {
		unusable, about := publication.Judge(*cachedOf(current), p.expectation(), policyOf(p.project), keys.Verifier, p.awsNow)
		if unusable == publication.Usable && about.UID == string(p.image.UID) {
			// An earlier pass has put this build, and no two signatures are equal.
			earlier := *signed
			earlier.Digest = current.Digest
			return r.publishedAs(ctx, p, &earlier)
		}
		if unusable == publication.Usable {
			p.status.Image = p.cachedImage(current, about.BuildSeconds)
			message := "environment " + about.Environment + " published an image first; that image is used"
			return r.conclude(ctx, p, fate{reason: v1alpha1.ReasonAdopted, message: message})
		}
	}
	if err := images.Delete(ctx, repository.Name, current.Digest); err != nil {
		return ending{}, fmt.Errorf("remove replaced image: %w", err)
	}
	log.FromContext(ctx).Info("Removed the replaced image", "configHash", p.status.ConfigHash, "digest", current.Digest)
	// At once, because the hash has no image now.
	err = images.Put(ctx, repository.Name, p.status.ConfigHash, signed.Manifest, signed.MediaType)
	var missing *ecr.LayersMissingError
	var rejected *ecr.ManifestRejectedError
	switch {
	case err == nil:
		return r.publishedAs(ctx, p, signed)
	case errors.Is(err, ecr.ErrTagTaken), errors.As(err, &missing), errors.As(err, &rejected): // the next pass handles them
		return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, outcome.ConflictRetry,
			"removed the replaced image; publishing the new one")
	}
	return ending{}, fmt.Errorf("publish image: %w", err)
}

// publishedAs records that the image was published under its hash.
func (r *Reconciler) publishedAs(ctx context.Context, p *pass, built *publication.Image) (ending, error) {
	image := ecr.Image{Digest: built.Digest, MediaType: built.MediaType, SizeBytes: built.SizeBytes, PushedAt: p.awsNow}
	p.status.Image = p.cachedImage(&image, built.BuildSeconds)
	log.FromContext(ctx).Info("Published the image",
		"configHash", p.status.ConfigHash, "digest", built.Digest, "sizeBytes", built.SizeBytes)
	return r.conclude(ctx, p, fate{published: true, reason: v1alpha1.ReasonPublished, message: "published as " + built.Digest})
}

// conclude removes the upload rights and ends the request of a builder whose image is published, or is used only where
// it was built. The image's fate is known even if the rights can't be removed now.
func (r *Reconciler) conclude(ctx context.Context, p *pass, f fate) (ending, error) {
	if err := r.removePushCredentials(ctx, p); err != nil {
		return ending{}.with(f), err
	}
	p.status.MissingLayers = nil
	if p.status.Image != nil {
		p.status.PullCredentials = projects.UsablePullCredentials(p.project, p.awsNow)
	}
	return finished(f.reason, f.message).with(f), nil
}
