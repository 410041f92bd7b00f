package runner_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/runner"
)

// secondBuild runs in the build of the second service, while the first one's image is uploaded again and again.
func (w *world) secondBuild(run func(ctx context.Context) error) {
	w.control(w.publisher(w.startRegistry(), 1000))
	w.engine.during = func(ctx context.Context) error {
		built := w.engine.built()
		if len(built) == 1 {
			return until(ctx, func() bool { return len(w.requests()) == 2 })
		}
		err := until(ctx, func() bool {
			return slices.ContainsFunc(w.requests(), func(image v1alpha1.DevcontainerImage) bool {
				return image.Spec.Service == built[0] && image.Spec.UploadAttempt != nil
			})
		})
		return errors.Join(err, run(ctx))
	}
}

// wantEnded checks that nothing is left of a run: each request ends, and no temporary folder stays.
func (w *world) wantEnded(temporary string) {
	w.t.Helper()
	for _, request := range w.requests() {
		if request.Spec.Build == nil {
			w.t.Errorf("the build of %s is not reported: others would wait for it", request.Spec.Service)
		}
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		w.t.Errorf("temporary files %v, %v", left, err)
	}
}

// temporary is a folder for all temporary files of the test.
func temporary(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	return folder
}

func TestFailureOfAServiceIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.composed()
	folder := temporary(t)
	const why = "exit code 1"
	w.secondBuild(func(context.Context) error { return &builder.BuildError{Message: why} })
	_, err := w.prepare(t.Context(), w.request())
	second := w.engine.built()[1]
	if failed := (*builder.BuildError)(nil); !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "service "+second+": ") {
		t.Errorf("error %v, want that of the service %s", err, second)
	}
	for _, text := range w.events.texts(runner.EventFailed) {
		if strings.Contains(text, why) {
			t.Errorf("the other service's step failed with %q", text)
		}
	}
	w.wantEnded(folder)
}

func TestInterruptEndsAllServices(t *testing.T) {
	w := newWorld(t)
	w.composed()
	folder := temporary(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.secondBuild(func(context.Context) error {
		cancel(runner.ErrInterrupted)
		return runner.ErrInterrupted
	})
	if _, err := w.prepare(ctx, w.request()); err != runner.ErrInterrupted { //nolint:errorlint // nothing around it
		t.Errorf("error %v", err)
	}
	w.wantEnded(folder)
}

func TestPrebuildReplacesTheServicesThatAreDue(t *testing.T) {
	w := newWorld(t)
	w.composed()
	publish := w.publisher(w.startRegistry(), 1)
	w.control(func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		switch {
		case image.Spec.Service == "worker", image.Spec.CachePolicy == v1alpha1.CachePolicyRefresh:
			return publish(ctx, image)
		case image.Status.CacheResult != "":
			return nil
		}
		return present(time.Now().Add(6 * 24 * time.Hour))
	})
	result, err := w.prebuild(t.Context(), w.request(), 7*24*time.Hour)
	if err != nil || result.Outcome != runner.OutcomePublished || result.Services[0].Outcome != runner.OutcomePublished {
		t.Fatalf("result %+v, %v", result, err)
	}
	for _, build := range w.engine.builds {
		if due := build.Compose.Name == "app"; build.NoCache != due {
			t.Errorf("the build of %s has NoCache %t", build.Compose.Name, build.NoCache)
		}
	}
	if len(w.engine.builds) != 2 || len(w.requests()) != 3 {
		t.Errorf("builds %+v, requests %+v", w.engine.builds, w.requests())
	}
}

func TestPrebuildPublishesTheServicesThatItCan(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.control(w.publisher(w.startRegistry(), 1))
	w.engine.during = func(ctx context.Context) error {
		built := w.engine.built()
		if len(built) > 1 {
			return nil
		}
		err := until(ctx, func() bool { return len(w.requests()) == 2 })
		return errors.Join(err, &builder.BuildError{Message: "exit code 1"})
	}
	result, err := w.prebuild(t.Context(), w.request(), 0)
	built := w.engine.built()
	if err == nil || len(built) != 2 || !strings.HasPrefix(err.Error(), "service "+built[0]+": ") {
		t.Fatalf("result %+v, %v, built %q", result, err, built)
	}
	published := slices.ContainsFunc(w.requests(), func(image v1alpha1.DevcontainerImage) bool {
		return image.Spec.Service == built[1] && image.Status.Image != nil
	})
	if !published {
		t.Errorf("the service %s is not published: %+v", built[1], w.requests())
	}
}
