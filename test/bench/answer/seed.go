package answer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// seed writes so many requests straight into the API server's store.
func seed(ctx context.Context, w *world.World, count int, made func(n int) *v1alpha1.DevcontainerImage) error {
	return w.Seed(ctx, "devcontainerimages", count, func(n int) client.Object { return made(n) })
}

// nth is the n-th request like one that exists.
func nth(like *v1alpha1.DevcontainerImage, n int) *v1alpha1.DevcontainerImage {
	request := like.DeepCopy()
	request.APIVersion, request.Kind = v1alpha1.GroupVersion.String(), "DevcontainerImage"
	request.Name, request.UID, request.ResourceVersion = fmt.Sprintf("old-%06d", n), uuid.NewUUID(), ""
	request.Spec.EnvironmentID = fmt.Sprintf("environment-%06d", n)
	for _, input := range []string{"platform", "devcontainer.json", "Dockerfile"} {
		request.Spec.Inputs = append(request.Spec.Inputs, v1alpha1.KeyInput{Name: input, Digest: "sha256:" + configHash})
	}
	return request
}

// finishedRequest is the n-th finished request, one in so many a builder's.
func finishedRequest(like *v1alpha1.DevcontainerImage, n int) *v1alpha1.DevcontainerImage {
	request := nth(like, n)
	if n%(finished/builders) == 0 {
		request.Status.CacheResult, request.Status.Reason, request.Status.Role = v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound, v1alpha1.RoleBuilder
		request.Status.Conditions = append(request.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionPublished, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPublished, Message: "the image is published",
			LastTransitionTime: *request.Status.FinishedAt, ObservedGeneration: request.Generation,
		})
	}
	return request
}
