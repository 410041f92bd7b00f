package devcontainerimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// DefaultBuildLease is how long a builder keeps its lease without renewing it, by the controller's clock.
const DefaultBuildLease = 45 * time.Second

// annotationHash on a build lease is the hash that its holder builds.
const annotationHash = "imagecache.dev/hash"

// buildLeases manages the Leases of builders. Each repository and hash has one Lease, and the request that creates it
// becomes the builder. The API server decides the race, so two managers can't both win it.
//
// This process decides when a lease has expired: by its own clock, from the time when the last renewal arrived. The
// clocks of runners do not matter.
type buildLeases struct {
	client   client.Client
	live     client.Reader
	clock    clock.PassiveClock
	duration time.Duration

	mu   sync.Mutex
	seen map[types.UID]renewal
	// puts is when a lookup first found that the holder of a lease is putting its image.
	puts map[types.UID]time.Time
	// claimed are leases that this process has created or read and its cache does not show yet. They keep many
	// waiters from asking the API server at once.
	claimed map[types.NamespacedName]claim
}

// claim is the state of a lease when this process created or read it.
type claim struct {
	lease *coordinationv1.Lease
	at    time.Time
}

// claimLag is how long the cache may take to show a new lease.
const claimLag = 2 * time.Second

// renewal is the last state of a lease that this process saw, and when it saw it.
type renewal struct {
	resourceVersion string
	at              time.Time
}

func newBuildLeases(c client.Client, live client.Reader, clock clock.PassiveClock, duration time.Duration) *buildLeases {
	if duration <= 0 {
		duration = DefaultBuildLease
	}
	return &buildLeases{client: c, live: live, clock: clock, duration: duration, seen: map[types.UID]renewal{}, puts: map[types.UID]time.Time{}, claimed: map[types.NamespacedName]claim{}}
}

// buildLeaseName returns the name of the lease for a hash in a repository.
func buildLeaseName(repository, hash string) string {
	sum := sha256.Sum256([]byte(repository + "\n" + hash))
	return "imagecache-build-" + hex.EncodeToString(sum[:20])
}

// holderOf returns a request's identity as the holder of a lease.
func holderOf(image *v1alpha1.DevcontainerImage) string {
	return image.Name + "/" + string(image.UID)
}

// holderName returns the name of the request that holds a lease.
func holderName(lease *coordinationv1.Lease) string {
	name, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "/")
	return name
}

func holds(image *v1alpha1.DevcontainerImage, lease *coordinationv1.Lease) bool {
	return lease != nil && ptr.Deref(lease.Spec.HolderIdentity, "") == holderOf(image)
}

// claim tries to make image the builder. It returns the lease that exists afterwards, whatever its holder.
func (l *buildLeases) claim(ctx context.Context, image *v1alpha1.DevcontainerImage, name, hash string) (*coordinationv1.Lease, error) {
	now := metav1.NewMicroTime(l.clock.Now())
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   image.Namespace,
			Name:        name,
			Labels:      map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelProject: image.Spec.ProjectRef.Name},
			Annotations: map[string]string{annotationHash: hash},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(image, v1alpha1.GroupVersion.WithKind("DevcontainerImage")),
			},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To(holderOf(image)),
			LeaseDurationSeconds: ptr.To(max(1, int32(l.duration.Seconds()))),
			AcquireTime:          &now,
			RenewTime:            &now,
		},
	}
	err := l.client.Create(ctx, lease)
	if apierrors.IsAlreadyExists(err) {
		lease, err = l.read(ctx, image.Namespace, name)
		if err == nil && lease == nil {
			return nil, outcome.Waitingf(v1alpha1.ReasonProgressing, outcome.ConflictRetry, "another environment is acquiring or releasing the build lease")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("claim build lease: %w", err)
	}
	l.note(lease)
	l.mu.Lock()
	l.claimed[client.ObjectKeyFromObject(lease)] = claim{lease: lease, at: l.clock.Now()}
	l.mu.Unlock()
	return lease, nil
}

// read returns a lease from the API server, or nil if it does not exist.
func (l *buildLeases) read(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	if err := l.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, lease); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read build lease: %w", err)
	}
	return lease, nil
}

// cached returns a lease without asking the API server, or nil if this process knows none.
func (l *buildLeases) cached(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	lease, key := &coordinationv1.Lease{}, types.NamespacedName{Namespace: namespace, Name: name}
	err := l.client.Get(ctx, key, lease)
	if err == nil {
		return lease, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read build lease: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.claimed[key]; ok && l.clock.Since(known.at) < claimLag {
		return known.lease.DeepCopy(), nil
	}
	return nil, nil
}

// remove deletes a lease in the version that was read. It succeeds if the lease does not exist, and returns a
// conflict if it changed since.
func (l *buildLeases) remove(ctx context.Context, lease *coordinationv1.Lease) error {
	err := l.client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion})
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("release build lease: %w", err)
	}
	l.forget(lease)
	return nil
}

// release deletes the lease of a request's hash if the request holds it.
func (l *buildLeases) release(ctx context.Context, image *v1alpha1.DevcontainerImage, name string) error {
	lease, err := l.read(ctx, image.Namespace, name)
	if err != nil || !holds(image, lease) {
		return err
	}
	return l.remove(ctx, lease)
}

// note records when this process first saw the current state of a lease.
func (l *buildLeases) note(lease *coordinationv1.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, known := l.seen[lease.UID]; known && last.resourceVersion == lease.ResourceVersion {
		return
	}
	l.seen[lease.UID] = renewal{resourceVersion: lease.ResourceVersion, at: l.clock.Now()}
}

func (l *buildLeases) forget(lease *coordinationv1.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, lease.UID)
	delete(l.puts, lease.UID)
	key := client.ObjectKeyFromObject(lease)
	if known, ok := l.claimed[key]; ok && known.lease.UID == lease.UID {
		delete(l.claimed, key)
	}
}

// putsSince returns how long ago a lookup first found that the holder of a lease is putting its image.
func (l *buildLeases) putsSince(lease *coordinationv1.Lease) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.puts[lease.UID]; !known {
		maps.DeleteFunc(l.puts, func(_ types.UID, first time.Time) bool { return l.clock.Since(first) > time.Hour })
		l.puts[lease.UID] = l.clock.Now()
	}
	return l.clock.Since(l.puts[lease.UID])
}

// remaining returns how long a lease is still valid. Zero or less means that it has expired.
func (l *buildLeases) remaining(lease *coordinationv1.Lease) time.Duration {
	l.note(lease)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[lease.UID].at.Add(l.duration).Sub(l.clock.Now())
}
