package cluster

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Create creates a request, and sets object to what the cluster stored. If the first try's answer was lost, the second
// try finds the object that the first one created.
func Create(ctx context.Context, c client.Client, object *v1alpha1.DevcontainerImage) error {
	wanted := object.DeepCopy()
	tried := false
	return persist(ctx, func(ctx context.Context) error {
		wanted.DeepCopyInto(object)
		err := c.Create(ctx, object)
		if apierrors.IsAlreadyExists(err) && tried {
			err = c.Get(ctx, client.ObjectKeyFromObject(wanted), object)
		}
		tried = true
		return err
	})
}

// Get reads a request.
func Get(ctx context.Context, c client.Reader, key types.NamespacedName) (*v1alpha1.DevcontainerImage, error) {
	image := &v1alpha1.DevcontainerImage{}
	if err := persist(ctx, func(ctx context.Context) error { return c.Get(ctx, key, image) }); err != nil {
		return nil, err
	}
	return image, nil
}
