package runner_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/runner"
)

func keyOf(object client.Object) types.NamespacedName { return client.ObjectKeyFromObject(object) }

func TestHitIsPulledByDigestAndReported(t *testing.T) {
	w := newWorld(t)
	w.secret(pullSecret, "registry.example")
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return hit(225) }))

	result := w.mustPrepare(w.request())

	if result.Outcome != runner.OutcomeHit || !strings.HasPrefix(result.Image, "imagecache.local/web:") {
		t.Errorf("result %+v", result)
	}
	want := []string{"⚡️ Using pre-built dev container (saved ~3m45s build time)"}
	if diff := cmp.Diff(want, w.events.texts(runner.EventSaved)); diff != "" {
		t.Errorf("the promised line (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Creating dev container"}, w.events.texts(runner.EventSection)); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{result.Reference}, w.engine.pulls); diff != "" {
		t.Errorf("pulls (-want +got):\n%s", diff)
	}
	if w.engine.tags[result.Image] != result.Reference {
		t.Errorf("tags %v", w.engine.tags)
	}
	if !strings.Contains(w.engine.config, "registry.example") {
		t.Errorf("the engine's configuration %s has not our credentials", w.engine.config)
	}
	if _, err := os.Stat(w.engine.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the private configuration has to be removed: %v", err)
	}
	request := w.theRequest()
	if request.Spec.Pull == nil || request.Spec.Pull.Outcome != v1alpha1.PullSucceeded || request.Spec.Build != nil {
		t.Errorf("reports: pull %+v, build %+v", request.Spec.Pull, request.Spec.Build)
	}
}

func TestRequestSaysWhatTheAPINeeds(t *testing.T) {
	w := newWorld(t)
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		return &v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed, Reason: "CacheDisabled", Explanation: "switched off"}
	}))
	asked := w.request()
	asked.Project, asked.Trigger, asked.Refresh = "web-id", v1alpha1.TriggerRebuild, true
	result := w.mustPrepare(asked)

	got := w.theRequest()
	want := v1alpha1.DevcontainerImageSpec{
		ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: "env-1", Trigger: v1alpha1.TriggerRebuild,
		Platform: "linux/amd64", ConfigurationType: v1alpha1.ConfigurationImage, ConfigHash: result.Hash,
		Inputs: got.Spec.Inputs, CachePolicy: v1alpha1.CachePolicyRefresh, TTLSecondsAfterFinished: ptr.To(int32(86400)),
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if len(got.Spec.Inputs) != 1 || got.Spec.Inputs[0].Name != "devcontainer.json" {
		t.Errorf("inputs %+v", got.Spec.Inputs)
	}
	if got.ManagedFields[0].Manager != cluster.FieldManager {
		t.Errorf("field manager %q", got.ManagedFields[0].Manager)
	}
	if result.Outcome != runner.OutcomeBypassed || result.Image == "" || !strings.Contains(w.noticedOnce(t), "switched off") {
		t.Errorf("result %+v", result)
	}
}

func TestBuilderPublishes(t *testing.T) {
	w := newWorld(t)
	host := w.startRegistry()
	w.control(w.publisher(host, 1))
	w.engine.during = func(ctx context.Context) error {
		return w.untilRenewed(ctx)
	}
	result := w.mustPrepare(w.request())

	if result.Outcome != runner.OutcomePublished || !strings.HasPrefix(result.Reference, host) {
		t.Errorf("result %+v", result)
	}
	request := w.theRequest()
	if got := ptr.Deref(request.Spec.UploadAttempt, 0); got != 1 {
		t.Errorf("uploadAttempt is %d, want 1", got)
	}
	if got := ptr.Deref(request.Spec.Build.DurationSeconds, 0); got != 75 {
		t.Errorf("durationSeconds is %d, want the engine's 75", got)
	}
	if len(w.asked) != 4 {
		t.Errorf("%d blobs were asked for, want the configuration and three layers", len(w.asked))
	}
	for _, digest := range w.asked {
		if !hasBlob(t, host, digest) {
			t.Errorf("blob %s is not in the registry", digest)
		}
	}
	if notices := w.events.texts(runner.EventNotice); len(notices) > 0 {
		t.Errorf("notices %q, want none", notices)
	}
}

func TestBuilderUploadsAgainWhatWentMissing(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher(w.startRegistry(), 3))
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished {
		t.Errorf("result %+v", result)
	}
	if got := ptr.Deref(w.theRequest().Spec.UploadAttempt, 0); got != 3 {
		t.Errorf("uploadAttempt is %d, want 3", got)
	}
}

func TestNothingMissingIsPublishedWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished {
		t.Errorf("result %+v", result)
	}
}

func TestRefusedPublicationStillGivesTheImage(t *testing.T) {
	w := newWorld(t)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		status := image.Status.DeepCopy()
		switch {
		case status.CacheResult == "":
			w.lease(ctx, image)
			return builderStatus(image)
		case image.Spec.Build != nil && len(status.Conditions) == 0:
			status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionPublished, "False", v1alpha1.ReasonAdopted, "environment env-9 was first")}
			return status
		}
		return nil
	})
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "env-9 was first") {
		t.Errorf("notice %q", notice)
	}
}

func TestLostLeaseIsNotPublished(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.during = func(ctx context.Context) error {
		return w.client.Delete(ctx, w.theLease(ctx))
	}
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || !strings.Contains(w.noticedOnce(t), "lease was lost") {
		t.Errorf("result %+v", result)
	}
	if report := w.theRequest().Spec.Build; report != nil {
		t.Errorf("report %+v, want none", report)
	}
}

func TestWhatChangedWhileItWasBuiltIsNotPublished(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.during = func(context.Context) error {
		w.write(".devcontainer/devcontainer.json", `{"image": "base"} // edited`)
		return nil
	}
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || !strings.Contains(w.noticedOnce(t), "changed during the build") {
		t.Errorf("result %+v", result)
	}
	if report := w.theRequest().Spec.Build; report == nil || report.Outcome != v1alpha1.BuildFailed {
		t.Errorf("report %+v, so that the next one builds", report)
	}
}

func TestABuildFromAnotherBaseIsNotPublished(t *testing.T) {
	for title, test := range map[string]struct {
		stored  string // digest of what the engine has; the registry's where empty
		outcome runner.Outcome
	}{
		"the base of the hash": {outcome: runner.OutcomePublished},
		"an older one": {
			stored:  "sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d",
			outcome: runner.OutcomeBuilt,
		},
	} {
		t.Run(title, func(t *testing.T) {
			w := newWorld(t)
			host := w.startRegistry()
			base, err := random.Image(100, 1)
			if err != nil {
				t.Fatal(err)
			}
			bases := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			defer bases.Close()
			reference, err := name.NewTag(strings.TrimPrefix(bases.URL, "http://") + "/base:1")
			if err == nil {
				err = remote.Write(reference, base)
			}
			if err != nil {
				t.Fatal(err)
			}
			digest, err := base.Digest()
			if err != nil {
				t.Fatal(err)
			}
			w.setKeyInputs(v1alpha1.KeyInputBaseImages)
			w.write(".devcontainer/devcontainer.json", `{"image": "`+reference.String()+`"}`)
			w.control(w.publisher(host, 1))
			w.engine.baseDigest = digest.String()
			if test.stored != "" {
				w.engine.baseDigest = test.stored
			}
			result := w.mustPrepare(w.request())
			if result.Outcome != test.outcome {
				t.Errorf("result %+v, want %s", result, test.outcome)
			}
			if diff := cmp.Diff([]string{reference.String()}, w.engine.bases); diff != "" {
				t.Errorf("base images that were pulled (-want +got):\n%s", diff)
			}
			if test.stored != "" && !strings.Contains(w.noticedOnce(t), "a base image is not the one in the hash") {
				t.Errorf("result %+v", result)
			}
		})
	}
}

func TestFailedBuildIsReported(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.fails = &builder.BuildError{Message: "RUN false: exit status 1"}
	_, err := w.prepare(t.Context(), w.request())
	if err == nil || err.Error() != "build dev container: RUN false: exit status 1" {
		t.Errorf("error %v", err)
	}
	report := w.theRequest().Spec.Build
	if report == nil || report.Outcome != v1alpha1.BuildFailed || report.Message != "RUN false: exit status 1" {
		t.Errorf("report %+v", report)
	}
}

func TestInterruptedBuildIsReported(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	ctx, cancel := context.WithCancelCause(t.Context())
	w.engine.during = func(ctx context.Context) error {
		cancel(runner.ErrInterrupted)
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := w.prepare(ctx, w.request())
	if !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	report := w.theRequest().Spec.Build
	if report == nil || report.Outcome != v1alpha1.BuildFailed || report.Message != "interrupted" {
		t.Errorf("report %+v", report)
	}
}

// uploading is a world whose registry stops taking anything as soon as an upload has begun, and what then happens.
func uploading(t *testing.T, then func()) *world {
	t.Helper()
	w := newWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			out.WriteHeader(http.StatusNotFound)
		case http.MethodPost:
			then()
			out.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	w.control(w.publisher(strings.TrimPrefix(server.URL, "http://"), 1))
	return w
}

func TestInterruptedUploadGivesTheLeaseBack(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := uploading(t, func() { cancel(runner.ErrInterrupted) })
	if _, err := w.prepare(ctx, w.request()); !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	if holder := ptr.Deref(w.theLease(t.Context()).Spec.HolderIdentity, ""); holder != "released/by-its-builder" {
		t.Errorf("the lease is still held by %q, and with it are the upload rights", holder)
	}
}

func TestRegistryThatRefusesAnUploadStopsNobody(t *testing.T) {
	w := uploading(t, func() {})
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "not published: upload image: ") || !strings.Contains(notice, "403") {
		t.Errorf("notice %q", notice)
	}
	if holder := ptr.Deref(w.theLease(t.Context()).Spec.HolderIdentity, ""); holder != "released/by-its-builder" {
		t.Errorf("the lease is still held by %q, so others wait for nothing", holder)
	}
}

// The layers that stay in an engine's store are compared with their diff IDs while they are uploaded. The controller must
// not hear of the upload before.
func TestImageWhoseLayersAreOthersIsNotPublished(t *testing.T) {
	w := newWorld(t)
	w.engine.proveFails = errors.New("layer 2 is not what the configuration says")
	w.control(w.publisher(w.startRegistry(), 1))
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "not published: layer 2 is not what") {
		t.Errorf("notice %q", notice)
	}
	if attempt := w.theRequest().Spec.UploadAttempt; attempt != nil {
		t.Errorf("upload attempt %d was reported", *attempt)
	}
	if holder := ptr.Deref(w.theLease(t.Context()).Spec.HolderIdentity, ""); holder != "released/by-its-builder" {
		t.Errorf("the lease is still held by %q, so others wait for nothing", holder)
	}
}

// TestAnUploadEndsWithItsPublication ends the publication while the registry takes an upload and answers nothing.
func TestAnUploadEndsWithItsPublication(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gated(w.startRegistry())
	defer open()
	publish := w.publisher(gate, 1)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		switch {
		case image.Status.FinishedAt != nil:
			return nil
		case image.Status.PushCredentials == nil:
			return publish(ctx, image)
		}
		status := image.Status.DeepCopy()
		status.PushCredentials, status.MissingLayers, status.FinishedAt = nil, nil, ptr.To(metav1.Now())
		status.Conditions = []metav1.Condition{
			condition(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonUploadTimedOut, "no layer was complete"),
		}
		return status
	})
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "UploadTimedOut: no layer was complete") {
		t.Errorf("notice %q", notice)
	}
}

func TestPublishTimeoutStopsNobody(t *testing.T) {
	w := newWorld(t)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		if image.Status.CacheResult != "" {
			return nil // the manager is gone
		}
		w.lease(ctx, image)
		return builderStatus(image)
	})
	request := w.request()
	request.PublishTimeout = 500 * time.Millisecond
	result := w.mustPrepare(request)
	if result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "publishing did not finish within") {
		t.Errorf("notice %q", notice)
	}
}

func TestBuildTimeoutIsReported(t *testing.T) {
	w := newWorld(t)
	w.control(w.publisher("registry.example", 0))
	w.engine.during = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	request := w.request()
	request.BuildTimeout = 50 * time.Millisecond
	_, err := w.prepare(t.Context(), request)
	if err == nil || !strings.Contains(err.Error(), "the build took longer than") {
		t.Errorf("error %v", err)
	}
	if report := w.theRequest().Spec.Build; report == nil || report.Outcome != v1alpha1.BuildFailed {
		t.Errorf("report %+v", report)
	}
}

func TestUnknownIsNeitherHitNorMiss(t *testing.T) {
	w := newWorld(t)
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		return &v1alpha1.DevcontainerImageStatus{Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionLookedUp, "False", v1alpha1.ReasonThrottled, "AWS asks to slow down")}}
	}))
	request := w.request()
	request.LookupTimeout = 300 * time.Millisecond
	result := w.mustPrepare(request)
	if result.Outcome != runner.OutcomeBuilt || result.CacheResult != "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "AWS asks to slow down") {
		t.Errorf("notice %q", notice)
	}
}

func TestLateAnswerIsStillPublished(t *testing.T) {
	w := newWorld(t)
	publish := w.publisher("registry.example", 0)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		if image.Status.CacheResult == "" {
			return nil
		}
		return publish(ctx, image)
	})
	w.engine.during = func(ctx context.Context) error {
		image := w.theRequest()
		w.lease(ctx, &image)
		w.setStatus(ctx, &image, *builderStatus(&image))
		return w.untilRenewed(ctx)
	}
	request := w.request()
	request.LookupTimeout = 200 * time.Millisecond
	result := w.mustPrepare(request)
	if result.Outcome != runner.OutcomePublished || result.Role != v1alpha1.RoleBuilder {
		t.Errorf("result %+v", result)
	}
	w.noticedOnce(t)
}

// A refresh replaces an image between the answer to an environment and its pull. The environment gets the new image.
func TestImageThatIsGoneIsAskedForAgain(t *testing.T) {
	for name, test := range map[string]struct {
		gone int // of the first answers' images
		want runner.Outcome
	}{"replaced": {1, runner.OutcomeHit}, "gone again": {2, runner.OutcomeBuilt}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			host := w.startRegistry()
			w.secret(pullSecret, host)
			w.publishes(host)
			asked := 0
			w.control(once(func(request *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
				asked++
				status := hit(225)
				status.Image = w.imageFor(host, request, func(*provenance.Claims) provenance.Signer { return nil })
				if asked <= test.gone {
					status.Image.Digest = "sha256:" + strings.Repeat("1", 64)
					status.Image.Reference = host + "/gitpod-runner-r/projects/web-id/image-build@" + status.Image.Digest
				}
				return status
			}))
			result := w.mustPrepare(w.request())
			if result.Outcome != test.want || len(w.requests()) != 2 {
				t.Errorf("%d requests, result %+v", len(w.requests()), result)
			}
			if test.want == runner.OutcomeHit && (len(w.engine.builds) != 0 || len(result.Notices) != 0) {
				t.Errorf("%d builds, notices %q", len(w.engine.builds), result.Notices)
			}
		})
	}
}

func TestFailedPullIsBuiltHere(t *testing.T) {
	w := newWorld(t)
	w.secret(pullSecret, "registry.example")
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return hit(225) }))
	w.engine.pullFails = errors.New("pull image: connection refused")
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || len(w.engine.builds) != 1 {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); !strings.Contains(notice, "connection refused") {
		t.Errorf("notice %q", notice)
	}
	if report := w.theRequest().Spec.Pull; report == nil || report.Outcome != v1alpha1.PullFailed || report.Message == "" {
		t.Errorf("report %+v", report)
	}
}

func TestWaiterGetsTheBuildersImage(t *testing.T) {
	w := newWorld(t)
	w.secret(pullSecret, "registry.example")
	w.control(func(_ context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		switch {
		case image.Status.CacheResult == "":
			return waiterStatus()
		case image.Status.Image == nil:
			status := hit(225)
			status.CacheResult, status.Role, status.Builder = v1alpha1.CacheMiss, v1alpha1.RoleWaiter, image.Status.Builder
			return status
		}
		return nil
	})
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeHit || len(w.engine.builds) != 0 || len(w.events.texts(runner.EventSaved)) != 1 {
		t.Errorf("result %+v", result)
	}
}

func TestWaiterTakesOver(t *testing.T) {
	w := newWorld(t)
	host := w.startRegistry()
	publish := w.publisher(host, 1)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		switch {
		case image.Status.CacheResult == "":
			return waiterStatus()
		case image.Status.Role == v1alpha1.RoleWaiter:
			w.lease(ctx, image)
			return builderStatus(image)
		}
		return publish(ctx, image)
	})
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomePublished {
		t.Errorf("result %+v", result)
	}
}

func TestWaiterBuildsForItselfWhereItIsNotToWait(t *testing.T) {
	tests := map[string]func(*runner.Request){
		"not at all":     func(r *runner.Request) { r.Wait = false },
		"not any longer": func(r *runner.Request) { r.WaitTimeout = 100 * time.Millisecond },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus { return waiterStatus() }))
			request := w.request()
			change(&request)
			result := w.mustPrepare(request)
			if result.Outcome != runner.OutcomeBuilt || len(w.engine.builds) != 1 {
				t.Errorf("result %+v", result)
			}
			w.noticedOnce(t)
		})
	}
}

func TestDeletedRequestIsBuiltHere(t *testing.T) {
	w := newWorld(t)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		_ = w.client.Delete(ctx, image)
		return nil
	})
	if result := w.mustPrepare(w.request()); result.Outcome != runner.OutcomeBuilt {
		t.Errorf("result %+v", result)
	}
	w.noticedOnce(t)
}

func TestComposeIsBypassedWithoutAnImage(t *testing.T) {
	w := newWorld(t)
	w.engine.missing = builder.ErrNoEngine // none is needed
	w.write(".devcontainer/devcontainer.json", `{"dockerComposeFile": "compose.yaml", "service": "app"}`)
	w.control(once(func(*v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		return &v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed, Reason: v1alpha1.ReasonComposeNotSupported}
	}))
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBypassed || result.Image != "" {
		t.Errorf("result %+v", result)
	}
	if notice := w.noticedOnce(t); notice != "Docker Compose configurations are not cached in project web, whose spec.compose is not Cached; start the environment as if the cache did not exist" {
		t.Errorf("notice %q", notice)
	}
}

func TestBadInputLeavesNothingBehind(t *testing.T) {
	tests := map[string]struct {
		change func(w *world, r *runner.Request)
		want   string
	}{
		"no configuration": {func(w *world, r *runner.Request) { r.Workspace = w.t.TempDir() }, "no dev container configuration in "},
		"broken JSON": {func(w *world, _ *runner.Request) {
			w.write(".devcontainer/devcontainer.json", "{")
			w.engine.fails = &builder.BuildError{Message: "the dev container CLI's own words"}
		}, "read .devcontainer/devcontainer.json: line 1"},
		"no such platform": {func(_ *world, r *runner.Request) { r.Platform = "Linux" }, `platform "Linux" is not of the form`},
		"no Dockerfile": {func(w *world, _ *runner.Request) {
			w.write(".devcontainer/devcontainer.json", `{"build": {"dockerfile": "Dockerfile"}}`)
		}, "is not there"},
		"unknown project": {func(_ *world, r *runner.Request) { r.Project = "nope" }, `no project "nope" in namespace `},
		"no builder":      {func(w *world, _ *runner.Request) { w.engine.missing = builder.ErrNoEngine }, "no builder on this machine"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			request := w.request()
			test.change(w, &request)
			_, err := w.prepare(t.Context(), request)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, test.want)
			}
			if requests := w.requests(); len(requests) > 0 {
				t.Errorf("%d requests are left behind", len(requests))
			}
		})
	}
}

func TestWhatTheCacheCantReadIsBuiltWithoutIt(t *testing.T) {
	const configuration = ".devcontainer/devcontainer.json"
	inContext := `{"build": {"dockerfile": "Dockerfile"}}`
	tests := map[string]struct {
		change func(w *world)
		want   string
	}{
		"a Dockerfile above the workspace": {func(w *world) {
			w.write(configuration, `{"build": {"dockerfile": "../../Dockerfile"}}`)
		}, "outside of the workspace"},
		"a fifo in the context": {func(w *world) {
			w.write(configuration, inContext)
			w.write(".devcontainer/Dockerfile", "FROM registry.example/base\nCOPY . /x\n")
			if err := syscall.Mkfifo(filepath.Join(w.workspace, ".devcontainer/fifo"), 0o644); err != nil {
				w.t.Fatal(err)
			}
		}, "fifo: neither a file"},
		"another frontend": {func(w *world) {
			w.write(configuration, inContext)
			w.write(".devcontainer/Dockerfile", "# syntax=registry.example/frontend\nFROM registry.example/base\n")
		}, "it is for the frontend registry.example/frontend"},
		"a configuration that is nested too deep": {func(w *world) {
			w.write(configuration, `{"image": "registry.example/base", "customizations": `+strings.Repeat("[", 300)+strings.Repeat("]", 300)+"}")
		}, "more than 200 objects and arrays"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.setKeyInputs(v1alpha1.KeyInputBuildContext)
			test.change(w)
			result := w.mustPrepare(w.request())
			if result.Outcome != runner.OutcomeBuilt || result.Image == "" || result.Hash != "" {
				t.Errorf("result %+v", result)
			}
			if notice := w.noticedOnce(t); !strings.Contains(notice, test.want) {
				t.Errorf("notice %q, want %q in it", notice, test.want)
			}
			if requests := w.requests(); len(requests) > 0 || len(w.engine.builds) != 1 {
				t.Errorf("%d requests and %d builds, want one build alone", len(requests), len(w.engine.builds))
			}
		})
	}
}

func TestUnreachableCluster(t *testing.T) {
	w := newWorld(t)
	unreachable, err := cluster.NewClient(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	w.client = unreachable
	_, err = w.prepare(t.Context(), w.request())
	if err == nil || err.Error() != "can't reach the cluster at http://127.0.0.1:1: connection refused" {
		t.Errorf("error %v", err)
	}
	request := w.request()
	request.BuildWithoutCluster = true
	if result := w.mustPrepare(request); result.Outcome != runner.OutcomeBuilt || result.Image == "" {
		t.Errorf("result %+v", result)
	}
	w.noticedOnce(t)
}
