// Package census counts the objects of the cluster for the gauges that the manager serves.
package census

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/internal/publication"
)

// Census keeps the few figures of every object that metrics add up, so that a scrape reads neither the cluster nor
// ten thousand objects. The informers' events keep it up to date.
type Census struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	runners  map[types.UID]readiness
	projects map[types.UID]projectFigures
	open     map[types.UID]openRequest
	// counted is how many open requests each namespace has. It has no zeros.
	counted map[string]int
}

// CrowdSize is how many unfinished requests of one namespace are treated like those of any other.
const CrowdSize = 1000

// readiness is the status and the reason of an object's condition Ready.
type readiness struct{ namespace, ready, reason string }

// projectFigures are the figures of one project.
type projectFigures struct {
	readiness
	// credentials is the reason of PullCredentialsReady. It is empty if no environment asks for credentials.
	credentials string
	// expires is when the pull credentials expire. It is zero if none exist.
	expires            time.Time
	images, bytes, due int64
	// dueExpires is when the first of the due images expires. It is zero if none is due.
	dueExpires time.Time
	// dueForWeek reports whether images are due for whole DueWithin, so that prebuilds have the time to replace them.
	dueForWeek bool
}

// openRequest is a request that is not finished.
type openRequest struct {
	namespace, state string
	created          time.Time
	// arrived is when the manager first saw the request. It is zero if the request existed before the manager
	// started.
	arrived time.Time
	// further means that its namespace had CrowdSize open requests before it.
	further bool
}

// States of open requests.
const (
	requestUnanswered = "Unanswered"
	requestHit        = "AwaitingCredentials"
)

// New returns an empty census.
func New(clock clock.PassiveClock) *Census {
	return &Census{clock: clock, runners: map[types.UID]readiness{}, projects: map[types.UID]projectFigures{}, open: map[types.UID]openRequest{}, counted: map[string]int{}}
}

// Follow subscribes the census to the runners, projects and requests of the manager's cache.
func (c *Census) Follow(ctx context.Context, mgr ctrl.Manager) error {
	for _, kind := range []client.Object{&v1alpha1.RunnerImageCache{}, &v1alpha1.ProjectImageCache{}, &v1alpha1.DevcontainerImage{}} {
		informer, err := mgr.GetCache().GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("count objects: %w", err)
		}
		if _, err := informer.AddEventHandler(c); err != nil {
			return fmt.Errorf("count objects: %w", err)
		}
	}
	return nil
}

// OnAdd records a new object.
func (c *Census) OnAdd(object any, isInInitialList bool) {
	arrived := c.clock.Now()
	if isInInitialList {
		arrived = time.Time{}
	}
	c.take(object, arrived)
}

// OnUpdate records a changed object.
func (c *Census) OnUpdate(_, object any) { c.take(object, time.Time{}) }

// OnDelete removes an object.
func (c *Census) OnDelete(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	gone, ok := object.(client.Object)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runners, gone.GetUID())
	delete(c.projects, gone.GetUID())
	c.close(gone.GetUID())
}

// close forgets an open request. The caller holds the lock.
func (c *Census) close(uid types.UID) {
	request, known := c.open[uid]
	if !known {
		return
	}
	delete(c.open, uid)
	if c.counted[request.namespace]--; c.counted[request.namespace] == 0 {
		delete(c.counted, request.namespace)
	}
}

// take records the current state of an object.
func (c *Census) take(object any, arrived time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o := object.(type) {
	case *v1alpha1.RunnerImageCache:
		if _, known := c.runners[o.UID]; !known {
			metric.BeginSeries(o.Namespace, o.Spec.Region)
		}
		c.runners[o.UID] = readinessOf(o.Namespace, o.Status.Conditions)
	case *v1alpha1.ProjectImageCache:
		c.projects[o.UID] = figuresOf(o)
	case *v1alpha1.DevcontainerImage:
		further := c.counted[o.Namespace] >= CrowdSize
		if known, ok := c.open[o.UID]; ok {
			arrived, further = known.arrived, known.further
		}
		c.close(o.UID)
		if o.Status.FinishedAt != nil {
			return
		}
		c.counted[o.Namespace]++
		c.open[o.UID] = openRequest{
			namespace: o.Namespace, state: stateOf(&o.Status), created: o.CreationTimestamp.Time, arrived: arrived, further: further,
		}
	}
}

// InCrowd reports whether a request's namespace has more than CrowdSize unfinished requests, and the request is one of
// those beyond. The latest changes may be missing.
func (c *Census) InCrowd(image *v1alpha1.DevcontainerImage) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	request, known := c.open[image.UID]
	if !known {
		return c.counted[image.Namespace] >= CrowdSize
	}
	return request.further && c.counted[image.Namespace] > CrowdSize
}

// ArrivalOf returns when an open request arrived at this manager, if that is known.
func (c *Census) ArrivalOf(image *v1alpha1.DevcontainerImage) (time.Time, bool) {
	if c == nil {
		return time.Time{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	request, known := c.open[image.UID]
	return request.arrived, known && !request.arrived.IsZero()
}

// readinessOf reads the condition Ready. An object without it has not been processed yet.
func readinessOf(namespace string, conditions []metav1.Condition) readiness {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return readiness{namespace, string(metav1.ConditionUnknown), v1alpha1.ReasonProgressing}
	}
	return readiness{namespace, string(ready.Status), ready.Reason}
}

func figuresOf(project *v1alpha1.ProjectImageCache) projectFigures {
	figures := projectFigures{
		readiness:  readinessOf(project.Namespace, project.Status.Conditions),
		dueForWeek: publication.DueWindow(project.Spec.Retention()) == publication.DueWithin,
	}
	if ready := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionPullCredentialsReady); ready != nil {
		figures.credentials = ready.Reason
	}
	if credentials := project.Status.PullCredentials; credentials != nil {
		figures.expires = credentials.ExpiresAt.Time
	}
	if images := project.Status.Images; images != nil {
		if images.Count != nil {
			figures.images = *images.Count
		}
		if images.SizeBytes != nil {
			figures.bytes = *images.SizeBytes
		}
		if images.DueCount != nil {
			figures.due = *images.DueCount
		}
		if images.DueExpiresAt != nil {
			figures.dueExpires = images.DueExpiresAt.Time
		}
	}
	return figures
}

// stateOf returns what an open request waits for.
func stateOf(status *v1alpha1.DevcontainerImageStatus) string {
	switch {
	case status.CacheResult == "":
		return requestUnanswered
	case status.Role != "":
		return string(status.Role)
	}
	return requestHit
}
