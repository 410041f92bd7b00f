package awstarget

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

// Sweep periodically lets go of what is kept for accounts, regions and roles that no runner names any more. A runner
// that is being deleted still names its target.
type Sweep struct {
	Client client.Reader
	Every  time.Duration
	// Keep are the functions that let go of everything but the named targets, in this order: what holds a target's clients
	// comes after those.
	Keep []func(named map[aws.Target]bool)
}

// NeedLeaderElection returns true: only the replica that reconciles has targets.
func (*Sweep) NeedLeaderElection() bool { return true }

// Start runs until ctx ends.
func (s *Sweep) Start(ctx context.Context) error {
	wait.UntilWithContext(ctx, s.once, s.Every)
	return nil
}

// once sweeps once. A runner that appears meanwhile gets a new target, and loses only what was remembered.
func (s *Sweep) once(ctx context.Context) {
	var runners v1alpha1.RunnerImageCacheList
	if err := s.Client.List(ctx, &runners, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Info("Could not list the runners to let go of unused targets; retrying", "error", err.Error())
		return
	}
	named := map[aws.Target]bool{}
	for n := range runners.Items {
		named[AddressOf(&runners.Items[n])] = true
	}
	for _, keep := range s.Keep {
		keep(named)
	}
}
