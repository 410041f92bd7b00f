// Package attachment attaches the signed statements about published images to the images, where tools of others find
// them. It comes after publications: it delays none and fails none.
package attachment

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/provenance"
)

// Pauses after an error, the first and the longest.
const (
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
)

// refusalRetry is how long a pass waits for a runner. No watch of this controller reports the end of that wait.
const refusalRetry = 30 * time.Second

// Reconciler attaches the statement about each published image of the projects that ask for it. It has no memory across
// restarts: the referrers in ECR show what was attached.
type Reconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	Targets  *awstarget.Targets
	Keys     *signingkeys.Keys

	queue queue
}

// SetupWithManager registers the reconciler for requests that have just published, and at the start for those that have
// not long ago.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	options := outcome.Options(1)
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMost)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("attachment").
		For(&v1alpha1.DevcontainerImage{}, builder.WithPredicates(r.published())).
		WithOptions(options).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for attachments: %w", err)
	}
	return nil
}

func (r *Reconciler) published() predicate.Predicate {
	concerns := func(o client.Object) bool { return wanted(o.(*v1alpha1.DevcontainerImage), r.Clock.Now()) }
	return predicate.Funcs{
		CreateFunc:  func(e event.CreateEvent) bool { return concerns(e.Object) },
		UpdateFunc:  func(e event.UpdateEvent) bool { return concerns(e.ObjectNew) && !concerns(e.ObjectOld) },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// Reconcile attaches the statement about a request's image.
func (r *Reconciler) Reconcile(ctx context.Context, image *v1alpha1.DevcontainerImage) (ctrl.Result, error) {
	project, err := r.projectOf(ctx, image)
	if err != nil {
		return outcome.Result(ctx, err, 0)
	}
	if project == nil || !image.DeletionTimestamp.IsZero() {
		r.queue.leave(image.UID)
		return outcome.Result(ctx, nil, 0)
	}
	now := r.Clock.Now()
	left, room := r.queue.wait(image.UID, now)
	switch {
	case !room:
		r.abandon(image, "too many images wait for their statements")
		return outcome.Result(ctx, nil, 0)
	case !wanted(image, now):
		r.queue.leave(image.UID)
		r.abandon(image, "it could not be attached within "+patience.String()+"; the manager's log names the reason")
		return outcome.Result(ctx, nil, 0)
	case left > 0:
		return outcome.Result(ctx, outcome.Waitingf(v1alpha1.ReasonProgressing, left, "publications come first"), 0)
	}
	attached, err := r.attach(ctx, image, project)
	if err == nil {
		r.queue.leave(image.UID)
	}
	switch {
	case err == nil && attached:
		metric.Attachments.WithLabelValues(image.Namespace, metric.OutcomeSucceeded).Inc()
	case err != nil && !outcome.IsRefusal(err):
		metric.Attachments.WithLabelValues(image.Namespace, metric.OutcomeFailed).Inc()
		log.FromContext(ctx).Info("Could not attach the statement about the image; retrying", "error", aws.Message(err), "digest", image.Status.Image.Digest)
	}
	return outcome.Result(ctx, err, 0)
}

func (r *Reconciler) abandon(image *v1alpha1.DevcontainerImage, why string) {
	metric.Attachments.WithLabelValues(image.Namespace, metric.OutcomeAbandoned).Inc()
	r.Recorder.Eventf(image, nil, corev1.EventTypeWarning, "ProvenanceNotAttached", "Attach",
		"the signed statement about the image is not attached to it: %s; the image is cached all the same", why)
}

// projectOf returns a request's project if it wants statements attached, and nil otherwise.
func (r *Reconciler) projectOf(ctx context.Context, image *v1alpha1.DevcontainerImage) (*v1alpha1.ProjectImageCache, error) {
	if image.Spec.ProjectRef == nil || image.Status.Image == nil {
		return nil, nil
	}
	project := &v1alpha1.ProjectImageCache{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: image.Namespace, Name: image.Spec.ProjectRef.Name}, project)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get project: %w", err)
	}
	if project.Spec.Provenance != v1alpha1.ProvenanceAttach || !project.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	return project, nil
}

// attach attaches the statement, and reports whether it did: not if it is attached already, or if the image is gone or
// has no statement.
func (r *Reconciler) attach(ctx context.Context, image *v1alpha1.DevcontainerImage, project *v1alpha1.ProjectImageCache) (bool, error) {
	repository, err := projects.ClosedRepositoryOf(project)
	if err != nil {
		return false, laterIfRefused(err)
	}
	runner, err := projects.RunnerOf(ctx, r.Client, project)
	if err != nil || runner == nil {
		return false, err
	}
	target, err := r.Targets.OfProject(ctx, project, runner)
	if err != nil {
		return false, laterIfRefused(err)
	}
	keys, err := r.Keys.Current()
	if err != nil {
		return false, err
	}
	digest := image.Status.Image.Digest
	manifest, mediaType, err := target.Images.Manifest(ctx, repository.Name, digest)
	if err != nil || manifest == nil {
		return false, err
	}
	verified, err := keys.Verifier.Read(manifest, digest)
	var record *provenance.Record
	if err == nil {
		record, err = verified.Record(manifest)
	}
	if err != nil || record.RepositoryARN != repository.ARN {
		log.FromContext(ctx).V(1).Info("The image has no statement to attach", "digest", digest)
		return false, nil //nolint:nilerr // nothing to attach
	}
	referrers, err := target.Images.Referrers(ctx, repository.Name, digest, attestation.BundleType)
	if err != nil || attachedBy(referrers, keys.Signer.Key().ID) {
		return false, err
	}
	subject := attestation.Subject{MediaType: mediaType, Digest: digest, SizeBytes: len(manifest)}
	if err := r.put(ctx, target.Images, repository, keys.Signer, record, subject); err != nil {
		return false, err
	}
	log.FromContext(ctx).Info("Attached the statement about the image", "digest", digest)
	return true, nil
}

// put signs the statement about the image's manifest, and puts it into the repository as the image's referrer.
func (r *Reconciler) put(
	ctx context.Context, images *ecr.Images, repository *v1alpha1.RepositoryStatus, signer provenance.Signer, record *provenance.Record, subject attestation.Subject,
) error {
	statement, err := provenance.ForManifest(record, repository.URI, subject.Digest)
	if err != nil {
		return err
	}
	envelope, err := provenance.Sign(ctx, signer, statement)
	if err != nil {
		return err
	}
	bundle, err := attestation.NewBundle(envelope)
	if err != nil {
		return err
	}
	referrer, err := bundle.Referrer(subject, r.Clock.Now())
	if err != nil {
		return err
	}
	for _, blob := range [][]byte{attestation.Empty, bundle.Content} {
		if _, err := images.Upload(ctx, repository.Name, blob); err != nil {
			return err
		}
	}
	return images.PutReferrer(ctx, repository.Name, referrer, attestation.ManifestType)
}

// laterIfRefused turns a refusal into a wait: nothing else begins another pass.
func laterIfRefused(err error) error {
	if !outcome.IsRefusal(err) {
		return err
	}
	return outcome.Waitingf(v1alpha1.ReasonWaitingForProject, refusalRetry, "%s", err.Error())
}
