package devcontainerimage

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/publication"
)

// uploadIsNews reports whether the layers must be checked: for the first time, or after another upload.
func (p *pass) uploadIsNews() bool {
	return p.status.PushCredentials == nil || ptr.Deref(p.image.Spec.UploadAttempt, 0) > ptr.Deref(p.status.ObservedUploadAttempt, 0)
}

// uploadLeft returns how long the upload rights last.
func (p *pass) uploadLeft() time.Duration { return p.status.PushCredentials.ExpiresAt.Sub(p.awsNow) }

// askFor asks the runner to upload layers. It grants upload rights for them, and again before they end while the upload
// advances. The steps before have made every check of the first grant in this pass, too: lease, switches, report.
func (r *Reconciler) askFor(
	ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image, missing []string,
) (ending, error) {
	sizes := make([]int64, 0, len(missing))
	for _, digest := range missing {
		sizes = append(sizes, built.BlobBytes[digest])
	}
	earlier := len(p.status.MissingLayers)
	p.status.MissingLayers = missing
	p.status.ObservedUploadAttempt = ptr.To(ptr.Deref(p.image.Spec.UploadAttempt, 0))
	if p.status.PushCredentials == nil {
		if meta.FindStatusCondition(p.image.Status.Conditions, v1alpha1.ConditionPushCredentialsRemoved) != nil {
			return r.timeOut(ctx, p, "the upload rights have been removed; "+lacking(sizes))
		}
		return r.grantUpload(ctx, p, repository, sizes)
	}
	if p.status.Upload == nil { // a manager of an earlier version has granted the rights
		p.status.Upload = &v1alpha1.UploadStatus{Grants: 1, GrantsSinceProgress: 1, MissingLayers: int32(max(earlier, 1))}
	}
	switch step, why := planUpload(uploadFacts{left: p.uploadLeft(), before: *p.status.Upload, missing: sizes}); step {
	case uploadRenew:
		return r.grantUpload(ctx, p, repository, sizes)
	case uploadEnd:
		return r.timeOut(ctx, p, why)
	case uploadWait:
	}
	return p.awaitUpload()
}

// grantUpload grants upload rights, or further ones.
func (r *Reconciler) grantUpload(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, missing []int64) (ending, error) {
	if err := r.grantPush(ctx, p, repository); err != nil {
		return ending{}, err
	}
	p.status.Upload = nextUpload(p.status.Upload, missing)
	return p.awaitUpload()
}

// awaitUpload waits for the runner, until further rights are due or these have ended.
func (p *pass) awaitUpload() (ending, error) {
	next := p.uploadLeft()
	if next > renewBefore {
		next -= renewBefore
	}
	return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, min(p.leaseLeft, next),
		"the runner is uploading %d layers", len(p.status.MissingLayers))
}

// awaitReport waits for the report of an upload of which nothing is missing any more. It needs no upload rights, so
// their end ends nothing: only the lease does, or the end of all uploads.
func (r *Reconciler) awaitReport(ctx context.Context, p *pass) (ending, error) {
	p.status.MissingLayers = nil
	left := reportLeft(p.status.Upload, p.uploadLeft())
	if left <= 0 {
		return r.timeOut(ctx, p, "all layers arrived, but the runner did not report its upload in time")
	}
	return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, min(p.leaseLeft, left),
		"all layers arrived; the runner is checking the image")
}

func (r *Reconciler) timeOut(ctx context.Context, p *pass, message string) (ending, error) {
	return r.conclude(ctx, p, fate{reason: v1alpha1.ReasonUploadTimedOut, message: message})
}
