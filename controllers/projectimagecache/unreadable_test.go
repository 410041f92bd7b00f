package projectimagecache

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

// unlistable returns a client of a cluster with a runner that can't list the objects of a kind.
func unlistable[List client.ObjectList](t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(fixture.Runner()).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(List); ok {
				return errors.New("the cache is not readable")
			}
			return c.List(ctx, list, options...)
		},
	}).Build()
}

func TestDriftThatCannotBeLookedForIsCounted(t *testing.T) {
	for name, c := range map[string]client.Client{
		"no runners":  unlistable[*v1alpha1.RunnerImageCacheList](t),
		"no projects": unlistable[*v1alpha1.ProjectImageCacheList](t),
	} {
		t.Run(name, func(t *testing.T) {
			watch := &driftWatch{reconciler: &Reconciler{Client: c}} // no AWS to ask
			counts, _ := fixture.Told(t, events.NewFakeRecorder(1), func() { watch.compare(t.Context()) })
			if len(counts) != 1 || counts["lost_wakeups_total[ProjectImageCache]"] != 1 {
				t.Errorf("counted: %v", counts)
			}
		})
	}
}

func TestCountThatCannotListTheRequestsIsRepeated(t *testing.T) {
	r := &Reconciler{Client: unlistable[*v1alpha1.DevcontainerImageList](t), Intervals: schedule.Intervals{Statistics: time.Hour}}
	before := metav1.NewTime(fixture.Noon)
	project := testProject(func(p *v1alpha1.ProjectImageCache) { p.Spec.InvalidatePushedBefore = &before })
	facts := &projectFacts{now: fixture.Noon, repository: &ecr.Repository{}}
	if next := r.count(t.Context(), project, nil, facts); next != invalidationRetry || !facts.uncounted {
		t.Errorf("the next count is after %s, the figures are out of date: %v", next, facts.uncounted)
	}
}
