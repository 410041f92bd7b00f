package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/runner"
)

// usableOnce records the results that Usable gets, and what the world was like then.
type usableOnce struct {
	results       []runner.Result
	builds, saves int
	// reported tells that a report of success was written before.
	reported bool
}

func (w *world) watchUsable() *usableOnce {
	u := &usableOnce{}
	w.usable = func(result runner.Result) {
		w.engine.mu.Lock()
		u.builds, u.saves = len(w.engine.builds), len(w.engine.saves)
		w.engine.mu.Unlock()
		u.results = append(u.results, result)
		list := &v1alpha1.DevcontainerImageList{}
		if err := w.client.List(context.Background(), list, client.InNamespace(w.namespace)); err != nil {
			return // in the test without a cluster
		}
		for i := range list.Items {
			build, pull := list.Items[i].Spec.Build, list.Items[i].Spec.Pull
			u.reported = u.reported || build != nil || pull != nil && pull.Outcome == v1alpha1.PullSucceeded
		}
	}
	return u
}

func TestImageIsUsableBeforeItIsPublished(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher(w.startRegistry(), 1))
	u := w.watchUsable()
	result := w.mustPrepare(w.request())
	if len(u.results) != 1 || u.builds != 1 || u.saves != 0 || u.reported {
		t.Errorf("called %+v, want once, after the build and before anything is saved or reported", u)
	}
	if early := u.results[0]; early.Image != result.Image || early.Outcome != runner.OutcomeBuilt {
		t.Errorf("early result %+v", early)
	}
	if result.Outcome != runner.OutcomePublished || len(w.engine.saves) != 1 {
		t.Errorf("result %+v after %d saves", result, len(w.engine.saves))
	}
	texts := w.events.texts(runner.EventUsable)
	if len(texts) != 1 || texts[0] != "The image can be used now; publishing goes on" {
		t.Errorf("events %q", texts)
	}
}

func TestUsableIsCalledOnceWhateverTheOutcome(t *testing.T) {
	answered := func(status *v1alpha1.DevcontainerImageStatus) func(*world) {
		return func(w *world) {
			w.secret(pullSecret, "registry.example")
			w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return status }))
		}
	}
	tests := map[string]struct {
		given   func(w *world)
		want    runner.Outcome
		noImage bool
	}{
		"hit": {answered(hit(1)), runner.OutcomeHit, false},
		"pull that fails": {func(w *world) {
			answered(hit(1))(w)
			w.engine.pullFails = errors.New("no space")
		}, runner.OutcomeBuilt, false},
		"bypassed": {answered(&v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed, Reason: "CacheDisabled"}),
			runner.OutcomeBypassed, false},
		"Compose": {func(w *world) {
			w.write(".devcontainer/devcontainer.json", `{"dockerComposeFile": "compose.yaml", "service": "app"}`)
			answered(&v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed})(w)
		}, runner.OutcomeBypassed, true},
		"no answer": {func(*world) {}, runner.OutcomeBuilt, false},
		"no key": {func(w *world) {
			w.write(".devcontainer/devcontainer.json", `{"image": "base", "features": 3}`)
		}, runner.OutcomeBuilt, false},
		"no cluster": {func(w *world) {
			w.client, _ = cluster.NewClient(&rest.Config{Host: "http://127.0.0.1:1"})
		}, runner.OutcomeBuilt, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.given(w)
			u := w.watchUsable()
			request := w.request()
			request.LookupTimeout, request.BuildWithoutCluster = time.Second, true
			result := w.mustPrepare(request)
			if result.Outcome != test.want {
				t.Fatalf("result %+v", result)
			}
			if len(u.results) != 1 || u.results[0].Outcome != test.want || u.results[0].Image != result.Image || (result.Image == "") != test.noImage {
				t.Errorf("called with %+v; result %+v", u.results, result)
			}
			if u.reported {
				t.Error("success was reported first, and that may take long")
			}
		})
	}
}

// Lifecycle commands write into the workspace as soon as the container runs.
func TestFilesMayChangeWhileTheImageIsPublished(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher(w.startRegistry(), 1))
	w.usable = func(runner.Result) { w.write(".devcontainer/devcontainer.json", `{"image": "another"}`) }
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished {
		t.Errorf("result %+v", result)
	}
}

func TestUsableIsNotCalledWithoutAnImage(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.fails = &builder.BuildError{Message: "exit code 1"}
	u := w.watchUsable()
	if _, err := w.prepare(t.Context(), w.request()); err == nil || len(u.results) > 0 {
		t.Errorf("error %v, called with %+v", err, u.results)
	}
}

// The request is told of an interruption right after the build, so that the next environment does not wait for the
// Lease to run out.
func TestInterruptionAfterUsableIsReported(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	ctx, cancel := context.WithCancelCause(t.Context())
	w.usable = func(runner.Result) { cancel(runner.ErrInterrupted) }
	if _, err := w.prepare(ctx, w.request()); !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	report := w.theRequest().Spec.Build
	if report == nil || report.Outcome != v1alpha1.BuildFailed || report.Message != "interrupted" {
		t.Errorf("report %+v", report)
	}
}
