package inputs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/internal/publication"
)

// server is an API server that has one kind of request, and counts how often it is read.
type server struct {
	client.Reader
	reads  atomic.Int32
	takes  time.Duration
	broken atomic.Bool
	inputs []v1alpha1.KeyInput
}

func (s *server) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.reads.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.broken.Load() {
		return errors.New("the API server is not ready")
	}
	request(key.Name, "a", s.inputs).DeepCopyInto(into.(*v1alpha1.DevcontainerImage))
	return nil
}

func request(name, configHash string, reported []v1alpha1.KeyInput) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, ConfigHash: configHash, Inputs: reported,
		},
	}
}

var (
	reported = []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "sha256:00"}}
	want     = []publication.Input{{Name: "Dockerfile", Digest: "sha256:00"}}
	taken    = []v1alpha1.KeyInput{} // as the manager's cache shows them
)

func TestInputsOfARequestThatTheCacheHasSeenCostNoRead(t *testing.T) {
	memory, live := inputs.New(), &server{}
	seen := request("e-1", "a", reported)
	memory.Take(seen)
	if seen.Spec.Inputs == nil || len(seen.Spec.Inputs) > 0 {
		t.Errorf("the cache keeps the inputs %v, want an empty list", seen.Spec.Inputs)
	}
	other := request("e-1", "a", taken)
	other.Spec.ProjectRef.Name = "other"
	computed := request("e-1", "", nil)
	for _, test := range []struct {
		what    string
		request *v1alpha1.DevcontainerImage
		want    []publication.Input
		reads   int32
	}{
		{"a request that the cache has seen", seen, want, 0},
		{"another of its hash", request("e-2", "a", taken), want, 0},
		{"one that holds its own", request("e-2", "b", reported), want, 0},
		{"one that reported none", request("e-2", "b", nil), nil, 0},
		{"one whose hash the manager computes", computed, nil, 0},
		{"one of another project", other, []publication.Input{}, 1},
	} {
		got, err := memory.Of(t.Context(), live, test.request)
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" || live.reads.Load() != test.reads {
			t.Errorf("%s: %d reads, want %d; (-want +got):\n%s", test.what, live.reads.Load(), test.reads, diff)
		}
	}
}

func TestThousandRequestsOfOneHashShareARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, live := inputs.New(), &server{takes: 2 * time.Second, inputs: reported}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := memory.Of(impatient, live, request("e-0", "a", taken)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits for a second gets %v", err)
		}
		var group sync.WaitGroup
		for n := range 1000 {
			group.Go(func() {
				got, err := memory.Of(t.Context(), live, request(fmt.Sprint("e-", n), "a", taken))
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		}
		group.Wait()
		if live.reads.Load() != 1 {
			t.Errorf("%d reads, want 1", live.reads.Load())
		}
	})
}

func TestReadThatFailsIsRepeated(t *testing.T) {
	memory, live := inputs.New(), &server{inputs: reported}
	live.broken.Store(true)
	for range 2 {
		if _, err := memory.Of(t.Context(), live, request("e-1", "a", taken)); err == nil {
			t.Error("a read that failed returns inputs")
		}
	}
	live.broken.Store(false)
	got, err := memory.Of(t.Context(), live, request("e-1", "a", taken))
	if diff := cmp.Diff(want, got); diff != "" || err != nil || live.reads.Load() != 3 {
		t.Errorf("%v after %d reads (-want +got):\n%s", err, live.reads.Load(), diff)
	}
}

func TestReadThatDoesNotEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, live := inputs.New(), &server{takes: time.Hour}
		began := time.Now()
		if _, err := memory.Of(t.Context(), live, request("e-1", "a", taken)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	memory, live := inputs.New(), &server{inputs: reported}
	long := make([]v1alpha1.KeyInput, 32)
	for n := range long {
		long[n] = v1alpha1.KeyInput{Name: fmt.Sprintf("%0256d", n), Digest: fmt.Sprintf("sha256:%064d", n)}
	}
	const hashes = 1000
	for n := range hashes {
		memory.Take(request("e", fmt.Sprint(n), append([]v1alpha1.KeyInput{}, long...)))
	}
	kept := 0
	for n := range hashes {
		reads := live.reads.Load()
		if _, err := memory.Of(t.Context(), live, request("e", fmt.Sprint(hashes-1-n), taken)); err != nil {
			t.Fatal(err)
		}
		if live.reads.Load() == reads {
			kept++
		}
	}
	// 4 MiB of 32 inputs with 359 bytes each.
	if kept < 300 || kept > 400 {
		t.Errorf("the inputs of %d hashes are kept, want about 360", kept)
	}
}
