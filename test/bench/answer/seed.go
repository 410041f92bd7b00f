package answer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// transaction is how many objects are written at once; etcd allows 128 operations:
// https://etcd.io/docs/v3.6/op-guide/configuration/ (max-txn-ops).
const transaction = 100

// seed writes so many requests straight into etcd by its JSON gateway: through the API server it would take a quarter of
// an hour. The API server finds them there as it finds its own.
func seed(ctx context.Context, w *world.World, count int, made func(n int) *v1alpha1.DevcontainerImage) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for first := 0; first < count; first += transaction {
		group.Go(func() error {
			puts := make([]any, 0, transaction)
			for n := first; n < first+transaction; n++ {
				request := made(n)
				object, err := json.Marshal(request)
				if err != nil {
					return fmt.Errorf("write request: %w", err)
				}
				key := fmt.Sprintf("/registry/imagecache.dev/devcontainerimages/%s/%s", request.Namespace, request.Name)
				puts = append(puts, map[string]any{"requestPut": map[string][]byte{"key": []byte(key), "value": object}})
			}
			return write(ctx, w.EtcdURL(), map[string]any{"success": puts})
		})
	}
	return group.Wait()
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

func write(ctx context.Context, etcd string, transaction any) error {
	content, err := json.Marshal(transaction)
	if err != nil {
		return fmt.Errorf("write transaction: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(etcd, "/")+"/v3/kv/txn", bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("write into etcd: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("write into etcd: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("write into etcd: it answers %s", response.Status)
	}
	return nil
}
