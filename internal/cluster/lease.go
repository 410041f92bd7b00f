package cluster

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

// ErrLeaseLost is why a build is not published.
var ErrLeaseLost = errors.New("the build lease was lost to another environment")

// Lease keeps the Lease of a builder while it builds and publishes. Several goroutines may use it.
type Lease struct {
	client client.Client
	lease  types.NamespacedName
	holder string
	lost   atomic.Bool
	cancel context.CancelFunc
	done   chan struct{}
}

// Renew starts to renew the Lease that image holds as its builder: image's status must name a builder. The renewals end
// with ctx, or when the Lease is lost; callers must call Stop or Release.
func Renew(ctx context.Context, c client.Client, image *v1alpha1.DevcontainerImage) *Lease {
	ctx, cancel := context.WithCancel(ctx)
	l := &Lease{
		client: c,
		lease:  types.NamespacedName{Namespace: image.Namespace, Name: image.Status.Builder.LeaseName},
		holder: image.Name + "/" + string(image.UID),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	go l.run(ctx)
	return l
}

// IsLost reports whether the Lease had another holder or none when it was last read. Once lost, it stays lost.
func (l *Lease) IsLost() bool { return l.lost.Load() }

// Confirm renews the Lease now, and returns ErrLeaseLost if this request does not hold it any more.
func (l *Lease) Confirm(ctx context.Context) error {
	if err := persist(ctx, l.once); err != nil {
		return fmt.Errorf("renew build lease: %w", err)
	}
	if l.IsLost() {
		return ErrLeaseLost
	}
	return nil
}

// Stop ends the renewals. It leaves the Lease to the controller. A second call does nothing.
func (l *Lease) Stop() {
	l.cancel()
	<-l.done
}

// released is the holder of a Lease that was given back. No request can have this name. The controller then removes
// the upload rights and lets another environment build, at once and not only when the Lease has expired.
const released = "released/by-its-builder"

// Release ends the renewals and gives the Lease back, if this request still holds it.
func (l *Lease) Release(ctx context.Context) error {
	l.Stop()
	err := persist(ctx, func(ctx context.Context) error {
		return l.write(ctx, func(lease *coordinationv1.Lease) { lease.Spec.HolderIdentity = ptr.To(released) })
	})
	if err != nil {
		return fmt.Errorf("release build lease: %w", err)
	}
	return nil
}

func (l *Lease) run(ctx context.Context) {
	defer close(l.done)
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		// While the API server is unavailable, the only choice is to retry: the Lease's holder is unknown until the
		// server is back.
		_ = persist(ctx, l.once)
		if l.IsLost() {
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
func (l *Lease) once(ctx context.Context) error {
	return l.write(ctx, func(lease *coordinationv1.Lease) { lease.Spec.RenewTime = ptr.To(metav1.NowMicro()) })
}

// write changes the Lease if this request still holds it. A conflict is transient: write reads the Lease again.
func (l *Lease) write(ctx context.Context, change func(*coordinationv1.Lease)) error {
	lease := &coordinationv1.Lease{}
	err := l.client.Get(ctx, l.lease, lease)
	if apierrors.IsNotFound(err) || err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != l.holder {
		l.lost.Store(true)
		return nil
	}
	if err != nil {
		return err
	}
	change(lease)
	err = l.client.Update(ctx, lease)
	if apierrors.IsNotFound(err) {
		l.lost.Store(true)
		return nil
	}
	return err
}
