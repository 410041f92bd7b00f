package devcontainerimage

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/internal/publication"
)

// wasAsked reports whether the runner may have been asked to upload layers.
func wasAsked(status *v1alpha1.DevcontainerImageStatus) bool {
	return status.PushCredentials != nil || status.Upload != nil
}

// uploadIsNews reports whether the layers must be checked: for the first time, or after another upload.
func (p *pass) uploadIsNews() bool { return uploadIsNews(p.image, &p.status) }

func uploadIsNews(image *v1alpha1.DevcontainerImage, status *v1alpha1.DevcontainerImageStatus) bool {
	return !wasAsked(status) || ptr.Deref(image.Spec.UploadAttempt, 0) > ptr.Deref(status.ObservedUploadAttempt, 0)
}

// uploadLeft returns how long the upload rights last. It is zero if there are none.
func (p *pass) uploadLeft() time.Duration {
	if p.status.PushCredentials == nil {
		return 0
	}
	return p.status.PushCredentials.ExpiresAt.Sub(p.awsNow)
}

// uploadIsOverdue reports whether layers are missing and the rights to upload them have ended some time ago.
func (p *pass) uploadIsOverdue() bool {
	return p.status.PushCredentials != nil && len(p.status.MissingLayers) > 0 && p.uploadLeft() < -overdueAfter
}

// isUploading reports whether an error is the wait for the runner's upload.
func isUploading(err error) bool {
	var waiting *outcome.WaitingError
	return errors.As(err, &waiting) && waiting.Reason == v1alpha1.ReasonUploading
}

// askFor asks the runner to upload layers. It grants upload rights for them, and again before they end while the upload
// advances. The steps before have made every check of the first grant in this pass, too: lease, switches, report.
func (r *Reconciler) askFor(
	ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image, missing []string,
) (ending, error) {
	sizes := make([]int64, 0, len(missing))
	for _, digest := range missing {
		sizes = append(sizes, built.BlobBytes[digest])
	}
	p.status.MissingLayers = missing
	p.status.ObservedUploadAttempt = ptr.To(ptr.Deref(p.image.Spec.UploadAttempt, 0))
	p.status.PushCredentials = r.rights.newest(p.image, p.status.PushCredentials)
	if p.status.PushCredentials == nil &&
		meta.FindStatusCondition(p.image.Status.Conditions, v1alpha1.ConditionPushCredentialsRemoved) != nil {
		return r.timeOut(ctx, p, "the upload rights have been removed; "+lacking(sizes))
	}
	facts := uploadFacts{
		granted: p.status.PushCredentials != nil, left: p.uploadLeft(), upload: p.status.Upload, now: p.awsNow, missing: sizes,
	}
	switch step, why := planUpload(facts); step {
	case uploadGrant:
		return r.grantUpload(ctx, p, repository, facts)
	case uploadEnd:
		return r.timeOut(ctx, p, why)
	case uploadWait:
	}
	return p.awaitUpload()
}

// grantUpload counts a grant of upload rights, and then makes it. The count is in the status before the rights exist, so
// that no conflict can leave rights that do not count.
func (r *Reconciler) grantUpload(
	ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, facts uploadFacts,
) (ending, error) {
	counted := p.image.Status.DeepCopy()
	counted.Upload = nextUpload(facts)
	if err := persist.Status(ctx, r.Client, p.image, &p.image.Status, *counted); err != nil {
		return ending{}, err
	}
	if p.image.Status.Upload == nil && facts.granted {
		return p.awaitUpload() // the API server has an older definition, and can't count
	}
	if err := r.grantPush(ctx, p, repository, min(pushDuration, uploadTimeLeft(counted.Upload, p.awsNow))); err != nil {
		return ending{}, err // p.status does not count it
	}
	p.status.Upload = counted.Upload
	return p.awaitUpload()
}

// awaitUpload waits for the runner, until further rights are due or these have ended.
func (p *pass) awaitUpload() (ending, error) {
	next := p.uploadLeft()
	if next > renewBefore {
		next -= renewBefore
	}
	next = max(next, time.Second)
	return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, min(p.leaseLeft, next),
		"the runner is uploading %d layers", len(p.status.MissingLayers))
}

// awaitReport waits for the report of an upload of which nothing is missing any more. It needs no upload rights, so
// their end ends nothing: only the lease does, or the end of all uploads.
func (r *Reconciler) awaitReport(ctx context.Context, p *pass) (ending, error) {
	p.status.MissingLayers = nil
	left := p.uploadLeft()
	if p.status.Upload != nil {
		left = uploadTimeLeft(p.status.Upload, p.awsNow)
	}
	if left <= 0 {
		return r.timeOut(ctx, p, "all layers arrived, but the runner did not report its upload in time")
	}
	return ending{}, outcome.Waitingf(v1alpha1.ReasonUploading, min(p.leaseLeft, left),
		"all layers arrived; the runner is checking the image")
}

func (r *Reconciler) timeOut(ctx context.Context, p *pass, message string) (ending, error) {
	return r.conclude(ctx, p, fate{reason: v1alpha1.ReasonUploadTimedOut, message: message})
}
