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

// renewEvery is how often a builder renews its Lease. The controller gives it up after 45 s without a renewal.
const renewEvery = 10 * time.Second

// errLeaseLost is why a build is not published.
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

// renew starts to renew the Lease that image holds as its builder.
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

// isLost reports whether the Lease had another holder or none when it was last read. Once lost, it stays lost.
func (r *renewer) isLost() bool { return r.lost.Load() }

// confirm renews the Lease now, and returns an error if this request does not hold it any more.
func (r *renewer) confirm(ctx context.Context) error {
	if err := persist(ctx, r.once); err != nil {
		return fmt.Errorf("renew build lease: %w", err)
	}
	if r.isLost() {
		return errLeaseLost
	}
	return nil
}

// stop ends the renewals. It leaves the Lease to the controller.
func (r *renewer) stop() {
	r.cancel()
	<-r.done
}

// released is the holder of a Lease that was given back. No request can have this name. The controller then removes
// the upload rights and lets another environment build, at once and not only when the Lease has expired.
const released = "released/by-its-builder"

// release gives the Lease back, if this request still holds it.
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
		// While the API server is unavailable, the only choice is to retry: the Lease's holder is unknown until the
		// server is back.
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

// once writes a new renewal time, if this request still holds the Lease.
func (r *renewer) once(ctx context.Context) error {
	return r.write(ctx, func(lease *coordinationv1.Lease) { lease.Spec.RenewTime = ptr.To(metav1.NowMicro()) })
}

// write changes the Lease if this request still holds it. A conflict is transient: write reads the Lease again.
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
