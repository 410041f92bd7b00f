package runner

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// renewEvery is how often a builder renews its Lease; the controller gives up on it after 45 s without.
const renewEvery = 10 * time.Second

// errLeaseLost says why a build is not published.
var errLeaseLost = errors.New("the build lease was lost to another environment")

// renewer keeps the Lease of a builder while it builds and publishes.
type renewer struct {
	client client.Client
	lease  types.NamespacedName
	holder string
	lost   atomic.Bool
	cancel context.CancelFunc
	done   chan struct{}
}

// renew starts to renew the Lease that image was given as its builder.
func renew(ctx context.Context, c client.Client, image *v1alpha1.DevcontainerImage, every time.Duration) *renewer {
	ctx, cancel := context.WithCancel(ctx)
	r := &renewer{
		client: c,
		lease:  types.NamespacedName{Namespace: image.Namespace, Name: image.Status.Builder.LeaseName},
		holder: image.Name + "/" + string(image.UID),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	go r.run(ctx, every)
	return r
}

// isLost says whether somebody else was seen to hold the Lease, or nobody. Once lost, it stays lost.
func (r *renewer) isLost() bool { return r.lost.Load() }

// confirm renews the Lease now, and says whether it is still ours.
func (r *renewer) confirm(ctx context.Context) error {
	if err := persist(ctx, r.once); err != nil {
		return fmt.Errorf("renew build lease: %w", err)
	}
	if r.isLost() {
		return errLeaseLost
	}
	return nil
}

// stop ends the renewing. The Lease itself is left to the controller.
func (r *renewer) stop() {
	r.cancel()
	<-r.done
}

// released is the holder of a Lease that was given back. No request can hold it, so the controller takes the upload rights
// away and lets another one build, at once and not when the Lease has run out.
const released = "released/by-its-builder"

// release gives the Lease back, if it is still ours.
func (r *renewer) release(ctx context.Context) error {
	r.stop()
	err := persist(ctx, func(ctx context.Context) error {
		return r.write(ctx, func(lease *coordinationv1.Lease) { lease.Spec.HolderIdentity = ptr.To(released) })
	})
	if err != nil {
		return fmt.Errorf("release build lease: %w", err)
	}
	return nil
}

func (r *renewer) run(ctx context.Context, every time.Duration) {
	defer close(r.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		// While the API server is away there is nothing to do but to try again: who holds the Lease is known only
		// when it is back.
		_ = persist(ctx, r.once)
		if r.isLost() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// once writes a new renewal time, if the Lease is still ours.
func (r *renewer) once(ctx context.Context) error {
	return r.write(ctx, func(lease *coordinationv1.Lease) { lease.Spec.RenewTime = ptr.To(metav1.NowMicro()) })
}

// write changes the Lease if it is still ours. A conflict is transient: the Lease is read again.
func (r *renewer) write(ctx context.Context, change func(*coordinationv1.Lease)) error {
	lease := &coordinationv1.Lease{}
	err := r.client.Get(ctx, r.lease, lease)
	if apierrors.IsNotFound(err) || err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != r.holder {
		r.lost.Store(true)
		return nil
	}
	if err != nil {
		return err
	}
	change(lease)
	err = r.client.Update(ctx, lease)
	if apierrors.IsNotFound(err) {
		r.lost.Store(true)
		return nil
	}
	return err
}
