package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/runner"
)

// published is how a publication in another process ended.
type published struct {
	result *runner.Result
	err    error
}

// givePublication lets a second runner publish, as another process does. It returns where that runner's end comes.
func (w *world) givePublication(ctx context.Context) <-chan published {
	ended := make(chan published, 1)
	w.engine.id = "sha256:built"
	w.handOver = func(_ context.Context, publication runner.Publication) (string, error) {
		content, err := json.Marshal(publication) // as between processes
		if err != nil {
			return "", err
		}
		var received runner.Publication
		if err := json.Unmarshal(content, &received); err != nil {
			return "", err
		}
		held, early := make(chan struct{}), make(chan published, 1)
		other := &runner.Runner{Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: &recorded{}}
		go func() {
			result, err := other.Publish(ctx, received, func() error { close(held); return nil })
			early <- published{result, err}
		}()
		select {
		case <-held:
			go func() { ended <- <-early }()
			return "name-of-it", nil
		case of := <-early:
			return "", of.err
		}
	}
	return ended
}

// gated is a registry's host that holds every upload until open is called.
func (w *world) gated(host string) (gate string, open func()) {
	opened := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			<-opened
		}
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", host, ""
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		for name, values := range answer.Header {
			out.Header()[name] = values
		}
		out.WriteHeader(answer.StatusCode)
	}))
	w.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), func() { close(opened) }
}

func TestPublicationGoesOnAfterPrepareHasReturned(t *testing.T) {
	w := newWorld(t)
	host := w.startRegistry()
	gate, open := w.gated(host)
	w.control(w.publisher(gate, 1))
	ended := w.givePublication(t.Context())
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomePublishing || result.Publication != "name-of-it" || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	select {
	case got := <-ended:
		t.Fatalf("the publication ended before the registry took anything: %+v", got)
	default:
	}
	// What the developer changes now is not in the image, and must not stop the publication.
	w.write(".devcontainer/devcontainer.json", `{"image": "another"}`)
	open()
	got := <-ended
	if got.err != nil || got.result.Outcome != runner.OutcomePublished || !strings.HasPrefix(got.result.Reference, gate) {
		t.Fatalf("ended with %+v", got)
	}
	request := w.theRequest()
	kept := "imagecache.local/publication:" + request.Name
	if diff := cmp.Diff([]string{"sha256:built"}, w.engine.saves); diff != "" {
		t.Errorf("saved (-want +got): a name may be another build's\n%s", diff)
	}
	if w.engine.tags[kept] != "sha256:built" || !slices.Contains(w.engine.removed, kept) {
		t.Errorf("the image was kept by %v; removed %q", w.engine.tags, w.engine.removed)
	}
	if got := request.Spec.Build; got.KeyCoverage == "" || ptr.Deref(got.DurationSeconds, 0) != 75 {
		t.Errorf("report %+v", got)
	}
	for _, digest := range w.asked {
		if !hasBlob(t, host, digest) {
			t.Errorf("blob %s is not in the registry", digest)
		}
	}
}

func TestPublicationThatNobodyTakesIsPublishedHere(t *testing.T) {
	tests := map[string]func(w *world){
		"the process does not start": func(w *world) {
			w.engine.id = "sha256:built"
			w.handOver = func(context.Context, runner.Publication) (string, error) { return "", errors.New("no memory") }
		},
		"the engine tells no ID": func(w *world) {
			w.handOver = func(context.Context, runner.Publication) (string, error) {
				w.t.Error("handed over without an ID")
				return "", nil
			}
		},
	}
	for name, given := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.control(w.publisher(w.startRegistry(), 1))
			given(w)
			if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished || result.Publication != "" {
				t.Errorf("result %+v", result)
			}
			if notice := w.noticedOnce(t); !strings.HasPrefix(notice, "publishing here and not in the background: ") {
				t.Errorf("notice %q", notice)
			}
			if len(w.engine.tags) != len(w.engine.removed) {
				t.Errorf("kept %v, removed %q", w.engine.tags, w.engine.removed)
			}
		})
	}
}

func TestWhatMustNotBePublishedIsNotHandedOver(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.handOver = func(context.Context, runner.Publication) (string, error) {
		t.Error("handed over")
		return "", nil
	}
	w.engine.id = "sha256:built"
	w.engine.during = func(context.Context) error {
		w.write(".devcontainer/devcontainer.json", `{"image": "another"}`)
		return nil
	}
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomeBuilt || !strings.Contains(result.Reason, "changed during the build") {
		t.Errorf("result %+v", result)
	}
}

func TestImageThatIsGoneIsAClearFailureOfItsPublication(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	ended := w.givePublication(t.Context())
	w.engine.saveFails = errors.New("save image sha256:built: No such image")
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublishing {
		t.Errorf("result %+v", result)
	}
	if got := <-ended; got.err == nil || got.err.Error() != "save image sha256:built: No such image" {
		t.Errorf("ended with %+v", got)
	}
	if report := w.theRequest().Spec.Build; report == nil || report.Outcome != v1alpha1.BuildFailed {
		t.Errorf("report %+v: others would wait for the Lease to run out", report)
	}
}

func TestInterruptedPublicationGivesTheLeaseBack(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gated(w.startRegistry())
	defer open()
	w.control(w.publisher(gate, 1))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := w.givePublication(ctx)
	w.mustPrepare(w.request())
	cancel(runner.ErrInterrupted)
	if got := <-ended; !errors.Is(got.err, runner.ErrInterrupted) {
		t.Errorf("ended with %+v", got)
	}
	holder := ptr.Deref(w.theLease(context.Background()).Spec.HolderIdentity, "")
	report := w.theRequest().Spec.Build
	failed := report != nil && report.Outcome == v1alpha1.BuildFailed // it was interrupted before it reported the image
	if holder != "released/by-its-builder" && !failed {
		t.Errorf("the lease is held by %q, and the report is %+v", holder, report)
	}
	if len(w.engine.removed) != 1 {
		t.Errorf("removed %q, want the name that kept the image", w.engine.removed)
	}
}

func TestPublicationGivesUpWhatIsNotItsOwn(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.id = "sha256:built"
	w.handOver = func(ctx context.Context, publication runner.Publication) (string, error) {
		publication.UID = "of-another"
		other := &runner.Runner{Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: &recorded{}}
		_, err := other.Publish(ctx, publication, func() error { t.Error("held"); return nil })
		return "", err
	}
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "was replaced") {
		t.Errorf("notice %q", notice)
	}
}

// prepare may stop renewing as soon as it has handed over: the other side renews by then.
func TestLeaseIsRenewedBeforePrepareLetsGo(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.id = "sha256:built"
	w.handOver = func(ctx context.Context, publication runner.Publication) (string, error) {
		before := w.theLease(ctx).Spec.RenewTime
		other := &runner.Runner{Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: &recorded{}}
		refused := errors.New("refused")
		_, err := other.Publish(ctx, publication, func() error {
			if after := w.theLease(ctx).Spec.RenewTime; before != nil && !after.After(before.Time) {
				t.Errorf("renewed at %v, and before at %v", after, before)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Errorf("error %v", err)
		}
		return "name", nil
	}
	w.engine.during = w.untilRenewed
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublishing {
		t.Errorf("result %+v", result)
	}
}

// The record of such a publication has ended, so nobody looks for the name any more.
func TestPublicationWhosePrepareWasKilledKeepsNoImage(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.id = "sha256:built"
	w.handOver = func(ctx context.Context, publication runner.Publication) (string, error) {
		killed := errors.New("killed")
		other := &runner.Runner{Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: &recorded{}}
		if _, err := other.Publish(ctx, publication, func() error { return killed }); !errors.Is(err, killed) {
			t.Errorf("error %v", err)
		}
		if !slices.Contains(w.engine.removed, publication.KeptName) {
			t.Errorf("removed %q, want %s", w.engine.removed, publication.KeptName)
		}
		return "name", nil
	}
	w.mustPrepare(w.request())
}
