package store

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
)

func request(name string, minute int) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{
		Namespace: "n", Name: name, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 12, minute, 0, 0, time.UTC)),
	}}
}

// running starts a store over a cluster with objects.
func running(t *testing.T, functions interceptor.Funcs, objects ...client.Object) (*Store, client.WithWatch) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(functions).Build()
	held := New()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		held.Run(ctx, cluster, "n")
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return held, cluster
}

// until waits for the store's changes until something holds.
func until(t *testing.T, held *Store, what string, holds func() bool) {
	t.Helper()
	changed, cancel := held.Subscribe()
	defer cancel()
	end := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-changed:
		case <-end:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func TestTheStoreFollowsTheCluster(t *testing.T) {
	held, cluster := running(t, interceptor.Funcs{}, request("old", 1), request("new", 2))
	until(t, held, "all is read", func() bool { return held.Requests.State().Loaded })
	if list := held.Requests.List(); len(list) != 2 || list[0].Name != "new" {
		t.Errorf("requests %+v, want the newest first", list)
	}
	if err := cluster.Create(t.Context(), request("newest", 3)); err != nil {
		t.Fatal(err)
	}
	until(t, held, "a request appears", func() bool { return held.Requests.State().Count == 3 })
	if held.Requests.List()[0].Name != "newest" {
		t.Error("the list is an old one")
	}
	if err := cluster.Delete(t.Context(), request("old", 1)); err != nil {
		t.Fatal(err)
	}
	until(t, held, "a request disappears", func() bool { _, found := held.Requests.Get("n", "old"); return !found })
}

func TestAKindThatCannotBeReadTellsWhyAndRecovers(t *testing.T) {
	broken := make(chan struct{})
	held, _ := running(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			select {
			case <-broken:
				return c.List(ctx, list, options...)
			default:
				return errors.New("the disk is full")
			}
		},
	}, request("one", 1))
	until(t, held, "the problem is reported", func() bool { return held.Requests.State().Problem != nil })
	close(broken)
	until(t, held, "the problem is over", func() bool {
		state := held.Requests.State()
		return state.Loaded && state.Problem == nil && state.Count == 1
	})
}
