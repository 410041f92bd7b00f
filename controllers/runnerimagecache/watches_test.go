package runnerimagecache

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

func TestLostWakeUpOfTheRunnersOfAnIDIsCounted(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("the cache is not readable")
		},
	}).Build()
	counts, _ := fixture.Told(t, events.NewFakeRecorder(1), func() {
		(&Reconciler{Client: c}).runnersOfSameID(t.Context(), fixture.Runner())
	})
	if len(counts) != 1 || counts["lost_wakeups_total[RunnerImageCache]"] != 1 {
		t.Errorf("counted: %v", counts)
	}
}
