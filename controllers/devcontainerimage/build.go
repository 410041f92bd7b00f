package devcontainerimage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/publication"
)

// build handles a builder: its lease while it builds, its report, its uploads, and the publication.
func (r *Reconciler) build(ctx context.Context, p *pass) error {
	if err := r.resolve(ctx, p); err != nil {
		return err
	}
	if held, err := r.stillBuilder(ctx, p); err != nil || !held {
		return err
	}
	if p.image.Spec.Build == nil {
		return outcome.Waitingf(v1alpha1.ReasonBuilding, p.next, "this environment is building the image")
	}
	if p.image.Spec.Build.Outcome == v1alpha1.BuildFailed {
		message := p.image.Spec.Build.Message
		if message == "" {
			message = "the build failed"
		}
		r.fateOf(p, v1alpha1.ReasonBuildFailed, message)
		p.fail(v1alpha1.ReasonBuildFailed, message)
		return nil
	}
	// The cache was switched off after the request was answered, so nothing new is published.
	if reason, message, off := bypass(&p.image.Spec, p.runner); off {
		return r.reject(ctx, p, reason, message)
	}
	if reason, message, refused := refusal(p.project, p.image.Spec.Build); refused {
		return r.reject(ctx, p, reason, message)
	}
	whole, err := r.reported(ctx, p)
	if err != nil {
		return err
	}
	report := publication.Report{Manifest: []byte(whole.Spec.Build.Manifest), Config: []byte(whole.Spec.Build.Config)}
	built, rejection := publication.Check(report, p.expectation())
	if rejection != nil {
		return r.reject(ctx, p, string(rejection.Problem), rejection.Message)
	}
	if built, err = annotate(p, whole, built); err != nil {
		return err
	}
	return r.publish(ctx, p, built)
}

// stillBuilder reports whether the request holds its lease, and ends the request if it does not. It reads the lease
// past the cache, because the next steps depend on it.
func (r *Reconciler) stillBuilder(ctx context.Context, p *pass) (bool, error) {
	lease, err := r.leases.read(ctx, p.image.Namespace, p.status.Builder.LeaseName)
	if err != nil {
		return false, err
	}
	if holds(p.image, lease) {
		remaining := r.leases.remaining(lease)
		if remaining > 0 {
			p.next = remaining
			return true, nil
		}
	}
	if err := r.removePushCredentials(ctx, p); err != nil {
		return false, err
	}
	if p.image.Spec.Build != nil {
		r.fateOf(p, v1alpha1.ReasonNotBuilder, "the report arrived after the build lease expired; the image is used where it was built")
		p.finish(v1alpha1.ReasonNotBuilder, p.end.publication.message)
		return false, nil
	}
	message := fmt.Sprintf("the runner has not renewed its build lease for %s", r.leases.duration)
	r.fateOf(p, v1alpha1.ReasonBuilderLost, message)
	p.fail(v1alpha1.ReasonBuilderLost, message)
	return false, nil
}

// reported reads the request with its report past the cache, because the cache does not keep the report's bytes.
func (r *Reconciler) reported(ctx context.Context, p *pass) (*v1alpha1.DevcontainerImage, error) {
	whole := &v1alpha1.DevcontainerImage{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(p.image), whole); err != nil {
		return nil, fmt.Errorf("read build report: %w", err)
	}
	if whole.Spec.Build == nil {
		return nil, outcome.Waitingf(v1alpha1.ReasonBuilding, outcome.ConflictRetry, "the build report is not readable yet")
	}
	return whole, nil
}

// publish asks for the missing layers, and tags the image with its hash when none is missing.
func (r *Reconciler) publish(ctx context.Context, p *pass, built *publication.Image) error {
	repository, err := projects.RepositoryOf(p.project)
	if err != nil {
		return err
	}
	if !meta.IsStatusConditionTrue(p.project.Status.Conditions, v1alpha1.ConditionRepositoryPolicyReady) {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "the repository of project %s does not have its policy yet", p.project.Name)
	}
	if !r.uploadIsNews(p) {
		return r.awaitUpload(ctx, p)
	}
	missing, err := r.missingLayers(ctx, p, repository, built)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return r.askFor(ctx, p, repository, missing)
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

// uploadIsNews reports whether the layers must be checked: for the first time, or after another upload.
func (r *Reconciler) uploadIsNews(p *pass) bool {
	return p.status.PushCredentials == nil || ptr.Deref(p.image.Spec.UploadAttempt, 0) > ptr.Deref(p.status.ObservedUploadAttempt, 0)
}

// askFor asks the runner to upload layers within the deadline of its upload rights.
func (r *Reconciler) askFor(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, missing []string) error {
	p.status.MissingLayers = missing
	p.status.ObservedUploadAttempt = ptr.To(ptr.Deref(p.image.Spec.UploadAttempt, 0))
	if p.status.PushCredentials == nil {
		if meta.FindStatusCondition(p.image.Status.Conditions, v1alpha1.ConditionPushCredentialsRemoved) != nil {
			return r.timeOut(ctx, p)
		}
		if err := r.grantPush(ctx, p, repository); err != nil {
			return err
		}
	}
	return r.awaitUpload(ctx, p)
}

// awaitUpload waits for the runner until the deadline.
func (r *Reconciler) awaitUpload(ctx context.Context, p *pass) error {
	left := p.status.PushCredentials.ExpiresAt.Sub(p.now)
	if left <= 0 {
		return r.timeOut(ctx, p)
	}
	p.next = min(p.next, left)
	return outcome.Waitingf(v1alpha1.ReasonUploading, p.next, "the runner is uploading %d layers", len(p.status.MissingLayers))
}

func (r *Reconciler) timeOut(ctx context.Context, p *pass) error {
	return r.reject(ctx, p, v1alpha1.ReasonUploadTimedOut, fmt.Sprintf("the runner did not upload the layers within %s", pushDuration))
}

// put publishes the image by one PutImage with the hash that the controller knows as its tag. The first image wins,
// and an unusable image is replaced. Each step can be repeated.
func (r *Reconciler) put(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) error {
	images, err := r.images(ctx, p)
	if err != nil {
		return err
	}
	err = images.Put(ctx, repository.Name, p.status.ConfigHash, built.Manifest, built.MediaType)
	var missing *ecr.LayersMissingError
	var rejected *ecr.ManifestRejectedError
	switch {
	case errors.As(err, &missing):
		return r.askAgain(ctx, p, repository, built)
	case errors.As(err, &rejected) && built.AsReported() != nil:
		// A failure to explain other environments' misses must not keep an image out of the cache.
		return r.put(ctx, p, repository, built.AsReported())
	case errors.As(err, &rejected):
		return r.reject(ctx, p, v1alpha1.ReasonManifestRejected, rejected.Error())
	case errors.Is(err, ecr.ErrTagTaken):
		return r.taken(ctx, p, repository, built)
	case err != nil:
		return fmt.Errorf("publish image: %w", err)
	}
	return r.publishedAs(ctx, p, built)
}

// askAgain asks for layers that ECR lost between the check and the publication.
func (r *Reconciler) askAgain(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) error {
	missing, err := r.missingLayers(ctx, p, repository, built)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return outcome.Waitingf(v1alpha1.ReasonUploading, time.Second, "ECR does not show all uploaded layers yet")
	}
	return r.askFor(ctx, p, repository, missing)
}

// taken handles a tag that exists already: the image is this build's, or must be replaced, or another's image was
// first.
func (r *Reconciler) taken(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) error {
	images, err := r.images(ctx, p)
	if err != nil {
		return err
	}
	current, err := r.find(ctx, p, repository)
	if err != nil {
		return err
	}
	if current == nil {
		return outcome.Waitingf(v1alpha1.ReasonUploading, time.Second, "ECR reports that the tag exists, but returns no image for it")
	}
	if current.Digest == built.Digest {
		return r.publishedAs(ctx, p, built)
	}
	if current.Digest != p.status.ReplacesDigest {
		unusable, about := publication.Judge(*cachedOf(current), p.expectation(), policyOf(p.project), p.now)
		if unusable == publication.Usable {
			p.status.Image = p.cachedImage(current, about.BuildSeconds)
			r.fateOf(p, v1alpha1.ReasonAdopted, "environment "+about.Environment+" published an image first; that image is used")
			return r.conclude(ctx, p, v1alpha1.ReasonAdopted)
		}
	}
	if err := images.Delete(ctx, repository.Name, current.Digest); err != nil {
		return fmt.Errorf("remove replaced image: %w", err)
	}
	logFor(ctx, p)("Removed the replaced image", "digest", current.Digest)
	return outcome.Waitingf(v1alpha1.ReasonUploading, outcome.ConflictRetry, "removed the replaced image; publishing the new one")
}

// publishedAs records that the image was published under its hash.
func (r *Reconciler) publishedAs(ctx context.Context, p *pass, built *publication.Image) error {
	image := ecr.Image{Digest: built.Digest, MediaType: built.MediaType, SizeBytes: built.SizeBytes, PushedAt: p.now}
	p.status.Image = p.cachedImage(&image, built.BuildSeconds)
	p.end.publication = &fate{published: true, reason: v1alpha1.ReasonPublished, message: "published as " + built.Digest}
	logFor(ctx, p)("Published the image", "digest", built.Digest, "sizeBytes", built.SizeBytes)
	return r.conclude(ctx, p, v1alpha1.ReasonPublished)
}

// reject ends a request whose image is not published and is used only where it was built.
func (r *Reconciler) reject(ctx context.Context, p *pass, reason, message string) error {
	r.fateOf(p, reason, message)
	return r.conclude(ctx, p, reason)
}

// conclude removes the upload rights and ends the request.
func (r *Reconciler) conclude(ctx context.Context, p *pass, reason string) error {
	if err := r.removePushCredentials(ctx, p); err != nil {
		return err
	}
	p.status.MissingLayers = nil
	if p.status.Image != nil {
		p.status.PullCredentials = projects.UsablePullCredentials(p.project, p.now)
	}
	p.finish(reason, p.end.publication.message)
	return nil
}

func (r *Reconciler) fateOf(p *pass, reason, message string) {
	p.end.publication = &fate{reason: reason, message: message}
}
