package cache

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
)

// findRequests finds a request by its name, or the latest requests of an environment. It returns one at least.
func findRequests(ctx context.Context, flags *cli.ClusterFlags, wanted string) ([]v1alpha1.DevcontainerImage, error) {
	connection, namespace, err := flags.Connect()
	if err != nil {
		return nil, err
	}
	request := v1alpha1.DevcontainerImage{}
	err = connection.Get(ctx, types.NamespacedName{Namespace: namespace, Name: strings.ToLower(wanted)}, &request)
	if err == nil {
		return []v1alpha1.DevcontainerImage{request}, nil
	}
	if !kube.IsAbsent(err) {
		return nil, kube.Describe(err)
	}
	requests := &v1alpha1.DevcontainerImageList{}
	if err := connection.List(
		ctx, requests, client.InNamespace(namespace), client.MatchingFields{"spec.environmentID": wanted},
	); err != nil {
		return nil, kube.Describe(err)
	}
	if len(requests.Items) == 0 {
		return nil, fmt.Errorf(
			"no request %q in namespace %s: no DevcontainerImage has this name or belongs to an environment with this ID; finished requests are removed after a while",
			wanted, namespace,
		)
	}
	return latestOf(requests.Items), nil
}

// latestOf returns the latest request of an environment; or if that is for a service of Docker Compose, the latest one
// for each service, by the services' names.
func latestOf(requests []v1alpha1.DevcontainerImage) []v1alpha1.DevcontainerImage {
	byTime := func(a, b v1alpha1.DevcontainerImage) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	}
	latest := slices.MaxFunc(requests, byTime)
	if latest.Spec.Service == "" {
		return []v1alpha1.DevcontainerImage{latest}
	}
	services := map[string]v1alpha1.DevcontainerImage{}
	for _, request := range requests {
		known, found := services[request.Spec.Service]
		if request.Spec.Service != "" && (!found || byTime(request, known) > 0) {
			services[request.Spec.Service] = request
		}
	}
	var all []v1alpha1.DevcontainerImage
	for _, name := range slices.Sorted(maps.Keys(services)) {
		all = append(all, services[name])
	}
	return all
}
