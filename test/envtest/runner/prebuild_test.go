package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/runner"
)

func (w *world) prebuild(ctx context.Context, request runner.Request, due time.Duration) (*runner.Result, error) {
	prepared := &runner.Runner{Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: w.events}
	return prepared.Prebuild(ctx, request, due)
}

// present is the answer to a prebuild whose image the cache has: without credentials to pull.
func present(expires time.Time) *v1alpha1.DevcontainerImageStatus {
	status := hit(225)
	status.PullCredentials = nil
	status.Image.ExpiresAt = ptr.To(metav1.NewTime(expires))
	return status
}

func TestPrebuildOfWhatTheCacheHasCostsNothing(t *testing.T) {
	w := newWorld(t)
	w.engine.missing = errors.New("no engine") // nothing needs one
	expires := time.Now().Add(20 * 24 * time.Hour).Truncate(time.Second)
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return present(expires) }))
	result, err := w.prebuild(t.Context(), w.request(), 7*24*time.Hour)
	if err != nil || result.Outcome != runner.OutcomePresent || result.ExpiresAt == nil || !result.ExpiresAt.Equal(expires) {
		t.Fatalf("result %+v, %v", result, err)
	}
	request := w.theRequest()
	if request.Spec.Trigger != v1alpha1.TriggerPrebuild || request.Spec.Pull != nil || request.Spec.Build != nil {
		t.Errorf("request %+v", request.Spec)
	}
	if len(w.engine.pulls) > 0 || result.Image != "" {
		t.Errorf("pulled %q into %s", w.engine.pulls, result.Image)
	}
	if diff := cmp.Diff([]string{"Prebuilding dev container"}, w.events.texts(runner.EventSection)); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
}

// A new image of a project with a short retention is not built again by each run.
func TestPrebuildKeepsANewImageOfAShortRetention(t *testing.T) {
	w := newWorld(t)
	w.engine.missing = errors.New("no engine") // nothing needs one
	now := time.Now().Truncate(time.Second)
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		answer := present(now.Add(6 * 24 * time.Hour))
		answer.Image.PushedAt = ptr.To(metav1.NewTime(now.Add(-24 * time.Hour)))
		return answer
	}))
	result, err := w.prebuild(t.Context(), w.request(), 7*24*time.Hour)
	if err != nil || result.Outcome != runner.OutcomePresent {
		t.Fatalf("result %+v, %v", result, err)
	}
}

func TestPrebuildPublishesWhatTheCacheLacks(t *testing.T) {
	w := newWorld(t)
	host := w.startRegistry()
	w.control(w.publisher(host, 1))
	result, err := w.prebuild(t.Context(), w.request(), 0)
	if err != nil || result.Outcome != runner.OutcomePublished || !strings.HasPrefix(result.Reference, host) {
		t.Fatalf("result %+v, %v", result, err)
	}
}

func TestPrebuildReplacesAnImageThatIsDue(t *testing.T) {
	w := newWorld(t)
	publish := w.publisher(w.startRegistry(), 1)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		if image.Spec.CachePolicy == v1alpha1.CachePolicyRefresh {
			return publish(ctx, image)
		}
		if image.Status.CacheResult != "" {
			return nil
		}
		return present(time.Now().Add(6 * 24 * time.Hour))
	})
	result, err := w.prebuild(t.Context(), w.request(), 7*24*time.Hour)
	if err != nil || result.Outcome != runner.OutcomePublished {
		t.Fatalf("result %+v, %v", result, err)
	}
	if requests := w.requests(); len(requests) != 2 {
		t.Errorf("%d requests, want 2", len(requests))
	}
	if notices := w.events.texts(runner.EventNotice); len(notices) != 1 || !strings.HasPrefix(notices[0], "the image expires on ") {
		t.Errorf("notices %q", notices)
	}
}

func TestPrebuildThatCannotPublishFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer *v1alpha1.DevcontainerImageStatus
		config string
		want   string
	}{
		"switched off": {
			answer: &v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed, Reason: "CacheDisabled", Explanation: "switched off"},
			want:   "CacheDisabled: switched off",
		},
		"no answer":               {want: "the cache did not answer within 1s"},
		"a configuration unknown": {config: `{"image": `, want: "the image can't be cached: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if test.config != "" {
				w.write(".devcontainer/devcontainer.json", test.config)
			}
			w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return test.answer }))
			asked := w.request()
			if test.answer == nil {
				asked.LookupTimeout = time.Second
			}
			result, err := w.prebuild(t.Context(), asked, 0)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("result %+v, %v, want %s", result, err, test.want)
			}
			if len(w.engine.builds) > 0 {
				t.Error("an image was built that nobody uses")
			}
			// A late answer must not make it a builder.
			for _, request := range w.requests() {
				if request.Spec.Build == nil || request.Spec.Build.Outcome != v1alpha1.BuildFailed {
					t.Errorf("the request's build is %+v", request.Spec.Build)
				}
			}
		})
	}
}

func TestPrebuildLeavesComposeOut(t *testing.T) {
	w := newWorld(t)
	w.write(".devcontainer/devcontainer.json", `{"dockerComposeFile": "compose.yaml", "service": "app"}`)
	result, err := w.prebuild(t.Context(), w.request(), 0)
	if err != nil || result.Outcome != runner.OutcomeBypassed {
		t.Errorf("result %+v, %v", result, err)
	}
	if requests := w.requests(); len(requests) > 0 {
		t.Errorf("%d requests, want none", len(requests))
	}
}
