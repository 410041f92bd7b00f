package watch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/test/fixture"
)

// clusterWith returns a client of a cluster with two projects of runner r1, and one of another runner.
func clusterWith(t *testing.T, funcs interceptor.Funcs) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs).
		WithIndex(&v1alpha1.ProjectImageCache{}, indexes.ProjectRunner, func(o client.Object) []string {
			return []string{o.(*v1alpha1.ProjectImageCache).Spec.RunnerRef.Name}
		})
	for name, runner := range map[string]string{"shop": "r1", "bank": "r1", "other": "r2"} {
		builder.WithObjects(&v1alpha1.ProjectImageCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: runner}},
		})
	}
	return builder.Build()
}

func TestRunnerWakesItsProjects(t *testing.T) {
	var names []string
	for _, request := range ProjectsOfRunner(t.Context(), clusterWith(t, interceptor.Funcs{}), fixture.Runner()) {
		names = append(names, request.String())
	}
	slices.Sort(names)
	if want := []string{"ns/bank", "ns/shop"}; !slices.Equal(names, want) {
		t.Errorf("woken: %v, want %v", names, want)
	}
}

func TestLostWakeUpIsLoggedAndCounted(t *testing.T) {
	c := clusterWith(t, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return errors.New("the cache is not readable")
	}})
	var lines []string
	ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	var woken []reconcile.Request
	counts, _ := fixture.Told(t, events.NewFakeRecorder(1), func() {
		woken = ToProjectsOfRunner(c)(ctx, fixture.Runner())
	})
	if len(woken) > 0 || len(counts) != 1 || counts["lost_wakeups_total[ProjectImageCache]"] != 1 {
		t.Errorf("woken: %v, counted: %v", woken, counts)
	}
	logged := strings.Join(lines, "\n")
	for _, want := range []string{`"changed"="ns/r1"`, `"kind"="ProjectImageCache"`, "the cache is not readable"} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log lacks %s:\n%s", want, logged)
		}
	}
}
