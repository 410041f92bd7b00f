package devcontainerimage

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/publication"
)

// build ends every pass of a builder: by its lease while it builds, its report, its uploads, or the publication.
func (r *Reconciler) build(ctx context.Context, p *pass) (ending, error) {
	if end, err := r.keepLease(ctx, p); err != nil || end.final {
		return end, err
	}
	if p.image.Spec.Build == nil {
		return ending{}, outcome.Waitingf(v1alpha1.ReasonBuilding, p.leaseLeft, "this environment is building the image")
	}
	if p.image.Spec.Build.Outcome == v1alpha1.BuildFailed {
		message := p.image.Spec.Build.Message
		if message == "" {
			message = "the build failed"
		}
		return lost(v1alpha1.ReasonBuildFailed, message), nil
	}
	// The cache, or that of Docker Compose, was switched off after the request was answered, so nothing new is published.
	if reason, message, off := bypass(&p.image.Spec, p.project, p.runner); off {
		return r.conclude(ctx, p, fate{reason: reason, message: message})
	}
	if reason, message, refused := refusal(p.project, p.image.Spec.Build); refused {
		return r.conclude(ctx, p, fate{reason: reason, message: message})
	}
	whole, err := r.reported(ctx, p)
	if err != nil {
		return ending{}, err
	}
	report := publication.Report{Manifest: []byte(whole.Spec.Build.Manifest), Config: []byte(whole.Spec.Build.Config)}
	built, rejection := publication.Check(report, p.expectation())
	if rejection != nil {
		return r.conclude(ctx, p, fate{reason: string(rejection.Problem), message: rejection.Message})
	}
	if built, err = annotate(p, whole, built); err != nil {
		return ending{}, err
	}
	return r.publish(ctx, p, built)
}

// keepLease ends the request if it does not hold its lease any more. It reads the lease past the cache, because the
// next steps depend on it.
func (r *Reconciler) keepLease(ctx context.Context, p *pass) (ending, error) {
	lease, err := r.leases.read(ctx, p.image.Namespace, p.status.Builder.LeaseName)
	if err != nil {
		return ending{}, err
	}
	if holds(p.image, lease) {
		if p.leaseLeft = max(r.leases.remaining(lease), 0); p.leaseLeft > 0 {
			return ending{}, nil
		}
	}
	if err := r.removePushCredentials(ctx, p); err != nil {
		return ending{}, err
	}
	if p.image.Spec.Build != nil {
		late := fate{
			reason:  v1alpha1.ReasonNotBuilder,
			message: "the report arrived after the build lease expired; the image is used where it was built",
		}
		return finished(late.reason, late.message).with(late), nil
	}
	message := fmt.Sprintf("the runner has not renewed its build lease for %s", r.leases.duration)
	return lost(v1alpha1.ReasonBuilderLost, message), nil
}

// lost ends the request of a builder that has made no image.
func lost(reason, message string) ending {
	return failed(reason, message).with(fate{reason: reason, message: message})
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
