package signingkeys

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"imagecache.dev/controllers/outcome"
)

// SetupWithManager registers the reconciler with a cache of its own, which holds this one Secret. The manager's cache
// holds only the metadata of Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	only, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultNamespaces: map[string]cache.Config{r.Namespace: {}},
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Field: fields.OneTermEqualSelector("metadata.name", SecretName)},
		},
	})
	if err != nil {
		return fmt.Errorf("set up cache of the signing keys: %w", err)
	}
	if err := mgr.Add(only); err != nil {
		return fmt.Errorf("set up cache of the signing keys: %w", err)
	}
	r.Secrets, r.Elected = only, mgr.Elected()
	options := outcome.Options(1)
	options.NeedLeaderElection = ptr.To(false)
	toSecret := func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: r.key()}}
	}
	err = builder.ControllerManagedBy(mgr).
		Named("signingkeys").
		WatchesRawSource(source.Kind[client.Object](only, &corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(toSecret))).
		WatchesRawSource(source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			// A Secret that does not exist causes no event, and neither does the beginning of leadership.
			go func() {
				select {
				case <-r.Elected:
					queue.Add(reconcile.Request{NamespacedName: r.key()})
				case <-ctx.Done():
				}
			}()
			if r.Remote != nil {
				queue.Add(reconcile.Request{NamespacedName: r.key()})
			}
			return nil
		})).
		WithOptions(options).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up controller for the signing keys: %w", err)
	}
	return nil
}
