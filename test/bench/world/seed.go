package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// transaction is how many objects are written at once; etcd allows 128 operations:
// https://etcd.io/docs/v3.6/op-guide/configuration/ (max-txn-ops).
const transaction = 100

// Seed writes so many objects of a resource of ours straight into etcd by its JSON gateway: through the API server it would
// take a quarter of an hour. The API server finds them there as it finds its own.
func (w *World) Seed(ctx context.Context, resource string, count int, made func(n int) client.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for first := 0; first < count; first += transaction {
		group.Go(func() error {
			puts := make([]any, 0, transaction)
			for n := first; n < min(count, first+transaction); n++ {
				object := made(n)
				content, err := json.Marshal(object)
				if err != nil {
					return fmt.Errorf("write object: %w", err)
				}
				key := fmt.Sprintf("/registry/imagecache.dev/%s/%s/%s", resource, object.GetNamespace(), object.GetName())
				puts = append(puts, map[string]any{"requestPut": map[string][]byte{"key": []byte(key), "value": content}})
			}
			return write(ctx, w.EtcdURL(), map[string]any{"success": puts})
		})
	}
	return group.Wait()
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
