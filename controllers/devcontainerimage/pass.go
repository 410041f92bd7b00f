package devcontainerimage

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/publication"
)

// pass is one reconciliation of a request: what it read and did, the new status, and how it ended.
type pass struct {
	image   *v1alpha1.DevcontainerImage
	project *v1alpha1.ProjectImageCache
	runner  *v1alpha1.RunnerImageCache
	now     time.Time
	awsNow  time.Time // by AWS' clock, to compare with times of AWS
	// inputs are the inputs of inline contents, if this pass computed their hash.
	inputs []publication.Input
	// origin is what originOf read, if this pass asked for it.
	origin *publication.Origin
	// leaseLeft is how long the build lease of this request is still valid. The pass is repeated then at the latest.
	// It is zero if the request holds none.
	leaseLeft time.Duration
	// pushRemoved means that this pass has removed the request's upload rights.
	pushRemoved bool

	status v1alpha1.DevcontainerImageStatus
	// end is what the steps came to. Reconcile sets it when they have run.
	end ending
}

// resolve finds the request's project and runner, and waits while one of them does not exist.
func (r *Reconciler) resolve(ctx context.Context, p *pass) (ending, error) {
	project, err := r.projectOf(ctx, p)
	if err != nil {
		return ending{}, err
	}
	if project == nil {
		return p.awaitObject(v1alpha1.ReasonWaitingForProject,
			fmt.Sprintf("project %s does not exist; apply a ProjectImageCache of that name", p.image.Spec.ProjectRef.Name))
	}
	runner := &v1alpha1.RunnerImageCache{}
	key := types.NamespacedName{Namespace: p.image.Namespace, Name: project.Spec.RunnerRef.Name}
	if err := r.Client.Get(ctx, key, runner); err != nil {
		if apierrors.IsNotFound(err) {
			return p.awaitObject(v1alpha1.ReasonWaitingForRunner, fmt.Sprintf(
				"runner %s of project %s does not exist; apply a RunnerImageCache of that name", key.Name, project.Name))
		}
		return ending{}, fmt.Errorf("get runner: %w", err)
	}
	p.project, p.runner = project, runner
	return ending{}, nil
}

// projectOf returns the request's project, or nil if it does not exist.
func (r *Reconciler) projectOf(ctx context.Context, p *pass) (*v1alpha1.ProjectImageCache, error) {
	project := &v1alpha1.ProjectImageCache{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: p.image.Namespace, Name: p.image.Spec.ProjectRef.Name}, project)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get project: %w", err)
	}
	return project, nil
}

// projectOfService returns the project of a request for a service of Docker Compose. It returns nil for any other request,
// which the project does not bypass, and if the project does not exist.
func (r *Reconciler) projectOfService(ctx context.Context, p *pass) (*v1alpha1.ProjectImageCache, error) {
	if p.image.Spec.ProjectRef == nil || p.image.Spec.Service == "" {
		return nil, nil
	}
	return r.projectOf(ctx, p)
}

// objectPatience is how long after its creation a request waits for a project or a runner that does not exist. Environments
// wait for seconds; without an end, requests for a wrong name would stay for ever.
const objectPatience = 6 * time.Hour

// awaitObject waits for an object, or ends a request that has waited too long.
func (p *pass) awaitObject(reason, message string) (ending, error) {
	left := p.image.CreationTimestamp.Add(objectPatience).Sub(p.now)
	if left > 0 {
		return ending{}, outcome.Waitingf(reason, left, "%s", message)
	}
	return failed(v1alpha1.ReasonNothingToWaitFor,
		fmt.Sprintf("gave up after %d hours: %s, and create another request", int(objectPatience.Hours()), message)), nil
}

// images returns the ECR client of the request's runner. Its error tells why ECR must not be called now.
func (r *Reconciler) images(ctx context.Context, p *pass) (*ecr.Images, error) {
	target, err := r.Targets.Of(ctx, p.runner)
	if err != nil {
		return nil, err
	}
	return target.Images, nil
}
