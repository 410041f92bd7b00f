package runner_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/runner"
)

// composed writes a workspace with two services that are built and one of an image, of a project that caches them.
func (w *world) composed() {
	w.t.Helper()
	project := &v1alpha1.ProjectImageCache{}
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, project)
	if err == nil {
		project.Spec.Compose = v1alpha1.ComposePolicyCached
		err = w.client.Update(w.t.Context(), project)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(".devcontainer/devcontainer.json", `{"dockerComposeFile": "compose.yml", "service": "app"}`)
	w.write(".devcontainer/compose.yml", "services: {app: {build: app}, worker: {build: worker}, db: {image: postgres}}")
	w.write(".devcontainer/app/Dockerfile", "FROM base\n")
	w.write(".devcontainer/worker/Dockerfile", "FROM base\nRUN true\n")
}

// built are the services that the engine built, in their order.
func (e *engine) built() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var services []string
	for _, build := range e.builds {
		services = append(services, build.Compose.Name)
	}
	return services
}

// until waits for something that others do.
func until(ctx context.Context, done func() bool) error {
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		return done(), nil
	})
}

func TestServicesAreAskedForTogetherAndBuiltOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.control(w.publisher(w.startRegistry(), 1))
	var building atomic.Int32
	w.engine.during = func(ctx context.Context) error {
		defer building.Add(-1)
		if building.Add(1) > 1 {
			t.Error("two services are built at once")
		}
		built := w.engine.built()
		if len(built) == 1 {
			return until(ctx, func() bool { return len(w.requests()) == 2 })
		}
		// The first one's image is uploaded beside the second build.
		return until(ctx, func() bool {
			return slices.ContainsFunc(w.requests(), func(image v1alpha1.DevcontainerImage) bool {
				return image.Spec.Service == built[0] && image.Spec.UploadAttempt != nil
			})
		})
	}
	u := w.watchUsable()
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomePublished || len(result.Services) != 2 || result.Image != result.Services[0].Image {
		t.Fatalf("result %+v", result)
	}
	if len(u.results) != 1 || len(u.results[0].Services) != 2 || u.results[0].Services[1].Image == "" {
		t.Errorf("usable with %+v", u.results)
	}
	for i, service := range []string{"app", "worker"} {
		of := result.Services[i]
		if of.Service != service || of.Outcome != runner.OutcomePublished || of.Hash == "" || of.Reference == "" {
			t.Errorf("result of %s: %+v", service, of)
		}
		if !slices.ContainsFunc(w.requests(), func(image v1alpha1.DevcontainerImage) bool {
			return image.Spec.Service == service && image.Spec.ConfigHash == of.Hash && image.Name == of.Request &&
				image.Spec.ConfigurationType == v1alpha1.ConfigurationCompose
		}) {
			t.Errorf("no request for %s in %+v", service, w.requests())
		}
	}
	read := w.events.texts(runner.EventFinished)[0]
	if !strings.HasSuffix(read, "; not cached, because they have an image: db; not in the hash: 2, see imagecache hash --explain") {
		t.Errorf("read %q", read)
	}
}

func TestOnlyServicesWithoutAnImageAreBuilt(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.secret(pullSecret, "registry.example")
	w.control(once(func(image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		if image.Spec.Service == "app" {
			return hit(100)
		}
		return &v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleLocalBuild, Reason: v1alpha1.ReasonImageNotFound}
	}))
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomeBuilt || result.Services[0].Outcome != runner.OutcomeHit || result.Services[1].Outcome != runner.OutcomeBuilt {
		t.Errorf("result %+v", result)
	}
	if built := w.engine.built(); !slices.Equal(built, []string{"worker"}) || len(w.engine.pulls) != 1 {
		t.Errorf("built %q, pulled %q", built, w.engine.pulls)
	}
	build := w.engine.builds[0].Compose
	if build.DevContainer || len(build.Files) != 1 || !strings.HasSuffix(build.Files[0], "/.devcontainer/compose.yml") {
		t.Errorf("built %+v", build)
	}
}

func TestServiceThatCannotBeBuiltEndsTheRun(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.control(w.publisher("registry.example", 0))
	w.engine.fails = &builder.BuildError{Message: "service worker: exit code 1"}
	w.engine.during = func(ctx context.Context) error {
		return until(ctx, func() bool {
			answered := slices.DeleteFunc(w.requests(), func(image v1alpha1.DevcontainerImage) bool { return image.Status.Role == "" })
			return len(answered) == 2
		})
	}
	u := w.watchUsable()
	if _, err := w.prepare(t.Context(), w.request()); !errors.Is(err, w.engine.fails) || len(u.results) > 0 {
		t.Errorf("error %v, usable with %+v", err, u.results)
	}
	if built := w.engine.built(); len(built) != 1 {
		t.Errorf("built %q, want no service after the one that failed", built)
	}
	for _, request := range w.requests() {
		if request.Spec.Build == nil || request.Spec.Build.Outcome != v1alpha1.BuildFailed {
			t.Errorf("the build of %s is not reported: others would wait for it", request.Spec.Service)
		}
	}
}

// What the cache can't read comes up by the reference CLI alone.
func TestServicesThatCannotBeCachedStartWithoutTheCache(t *testing.T) {
	config := func(text string) func(w *world) {
		return func(w *world) { w.write(".devcontainer/devcontainer.json", text) }
	}
	file := func(text string) func(w *world) {
		return func(w *world) { w.write(".devcontainer/compose.yml", text) }
	}
	tests := map[string]struct {
		change func(w *world)
		want   string
	}{
		"no service":                  {config(`{"dockerComposeFile": "compose.yml"}`), `.devcontainer/devcontainer.json names no service; set "service" to the one that is the dev container`},
		"a service that is not there": {config(`{"dockerComposeFile": "compose.yml", "service": "web"}`), "names the service web, which is in none of the files; they have app, db, worker"},
		"a file that is not there":    {config(`{"dockerComposeFile": "other.yml", "service": "app"}`), ".devcontainer/other.yml"},
		"a file above the workspace":  {config(`{"dockerComposeFile": "../../compose.yml", "service": "app"}`), "../../compose.yml, named by .devcontainer/devcontainer.json, is outside"},
		"a cycle":                     {file("services: {app: {extends: b, image: x}, b: {extends: app}}"), "ircular"},
		"a file of version 1":         {file("app: {build: app}"), "it is of version 1, which Docker Compose no longer reads"},
		"a variable that is required": {file("services: {app: {image: \"${NEEDED_BY_TEST:?say which}\"}}"), "NEEDED_BY_TEST"},
		"no Docker Compose":           {func(w *world) { w.engine.notComposed = errors.New("docker has no Compose plugin") }, "docker has no Compose plugin"},
		"no engine":                   {func(w *world) { w.engine.missing = builder.ErrNoEngine }, builder.ErrNoEngine.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.composed()
			test.change(w)
			u := w.watchUsable()
			result := w.mustPrepare(w.request())
			if result.Outcome != runner.OutcomeBypassed || result.Image != "" || len(u.results) != 1 || len(w.requests()) > 0 {
				t.Errorf("result %+v, usable with %+v, requests %+v", result, u.results, w.requests())
			}
			notice := w.noticedOnce(t)
			const begins = "the services' images are not cached, and the environment starts as if the cache did not exist: "
			if !strings.HasPrefix(notice, begins) || !strings.Contains(notice, test.want) {
				t.Errorf("notice %q, want %q", notice, test.want)
			}
		})
	}
}

func TestPrebuildOfServices(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.control(w.publisher(w.startRegistry(), 1))
	result, err := w.prebuild(t.Context(), w.request(), 0)
	if err != nil || result.Outcome != runner.OutcomePublished || len(result.Services) != 2 {
		t.Errorf("result %+v, %v", result, err)
	}
}

func TestServicesArePublishedInTheBackground(t *testing.T) {
	w := newWorld(t)
	w.composed()
	w.control(w.publisher(w.startRegistry(), 1))
	ended := w.givePublication(t.Context())
	result := w.mustPrepare(w.request())
	if result.Outcome != runner.OutcomePublishing {
		t.Errorf("result %+v", result)
	}
	for _, service := range result.Services {
		if service.Outcome != runner.OutcomePublishing || service.Publication == "" {
			t.Errorf("result of %s: %+v", service.Service, service)
		}
		if of := <-ended; of.err != nil || of.result.Outcome != runner.OutcomePublished {
			t.Errorf("publication %+v, %v", of.result, of.err)
		}
	}
}
