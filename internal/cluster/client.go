package cluster

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// FieldManager is the field manager of what a runner writes.
const FieldManager = "imagecache-runner"

// NewClient returns a client for the kinds that a runner uses. It makes no call to the API server, because it knows
// their resources.
func NewClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make client: %w", err)
		}
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"RunnerImageCache", "ProjectImageCache", "DevcontainerImage"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)

	config = rest.CopyConfig(config)
	config.QPS = -1 // a handful of calls: no client-side limit
	config.WarningHandler = rest.NoWarnings{}
	config.WarningHandlerWithContext = nil
	made, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper, FieldOwner: FieldManager})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return made, nil
}
