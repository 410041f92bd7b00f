package cluster

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// FindProject returns a project's cache by the object's name or the project's ID. It fails if several objects have that
// ID, and with an UnreachableError if the cluster can't be used.
func FindProject(ctx context.Context, c client.Reader, namespace, project string) (*v1alpha1.ProjectImageCache, error) {
	found := &v1alpha1.ProjectImageCache{}
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: project}, found)
	if err == nil {
		return found, nil
	}
	if !IsAbsent(err) && !apierrors.IsInvalid(err) {
		return nil, Describe(err)
	}
	list := &v1alpha1.ProjectImageCacheList{}
	if err := c.List(
		ctx, list, client.InNamespace(namespace), client.MatchingFields{"spec.projectID": project},
	); err != nil {
		return nil, Describe(err)
	}
	switch len(list.Items) {
	case 0:
		return nil, fmt.Errorf(
			"no project %q in namespace %s: no ProjectImageCache has this name or this projectID", project, namespace,
		)
	case 1:
		return &list.Items[0], nil
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return nil, fmt.Errorf(
		"project %q in namespace %s matches several objects (%s); give the name of one of them", project, namespace,
		strings.Join(names, ", "),
	)
}
