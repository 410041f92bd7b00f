package runner

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/publication"
	"imagecache.dev/internal/transfer"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testregistry"
)

// A registry that does not answer must not hold up a build that needs nothing of it.
func TestLayersOfARegistryThatIsSilentAreNotWaitedFor(t *testing.T) {
	host := testregistry.Start(t, func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	image := testregistry.Repository(t, host).Digest("sha256:" + strings.Repeat("0", 64))
	p := &preparation{basis: &basis{}}
	lent, err := p.lendFrom(t.Context(), image, authn.Anonymous, time.Second)
	if err == nil || lent != nil || !strings.HasSuffix(err.Error(), "the registry did not answer within 1s") {
		t.Errorf("lent %v: %v", lent, err)
	}
}

// buildingEngine is an engine of which only builds are played.
type buildingEngine struct {
	builder.Engine
	// build plays a build that was given layers; one without always succeeds.
	build func(ctx context.Context) error
	from  []string // what each build was given
}

func (e *buildingEngine) Build(ctx context.Context, r builder.Request) (*builder.Result, error) {
	e.from = append(e.from, r.LayersFrom)
	if r.LayersFrom != "" {
		if err := e.build(ctx); err != nil {
			return nil, err
		}
	}
	return &builder.Result{}, nil
}

func TestABuildIsRepeatedOnlyForLayersThatAreLost(t *testing.T) {
	host := testregistry.Start(t, nil)
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	source := testregistry.Repository(t, host).Digest(digest.String())
	if err := remote.Write(source, image); err != nil {
		t.Fatal(err)
	}
	failed, gone := errors.New("RUN make: exit status 2"), errors.New("the registry answers 404 Not Found")
	for name, test := range map[string]struct {
		build  func(ctx context.Context, lose, interrupt func(error)) error
		builds int
		err    error
	}{
		"succeeds": {func(context.Context, func(error), func(error)) error { return nil }, 1, nil},
		"fails":    {func(context.Context, func(error), func(error)) error { return failed }, 1, failed},
		"succeeds although a layer is lost": {func(_ context.Context, lose, _ func(error)) error {
			lose(gone)
			return nil
		}, 1, nil},
		"waits for a layer that is lost": {func(ctx context.Context, lose, _ func(error)) error {
			lose(gone)
			<-ctx.Done()
			return ctx.Err()
		}, 2, nil},
		"is interrupted": {func(ctx context.Context, _, interrupt func(error)) error {
			interrupt(ErrInterrupted)
			<-ctx.Done()
			return ErrInterrupted
		}, 1, ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer interrupt(nil)
			events := &recordedEvents{}
			engine := &buildingEngine{}
			p := &preparation{basis: &basis{engine: engine}, steps: steps{events}, result: &Result{}}
			lent, err := p.lendFrom(ctx, source, authn.Anonymous, layersPatience)
			if err != nil {
				t.Fatal(err)
			}
			engine.build = func(ctx context.Context) error { return test.build(ctx, lent.lose, interrupt) }
			if _, err := p.buildWith(ctx, lent, builder.Request{}); !errors.Is(err, test.err) {
				t.Errorf("%v, want %v", err, test.err)
			}
			if len(engine.from) != test.builds || engine.from[0] != lent.relay.Reference() || engine.from[len(engine.from)-1] == "" != (test.builds == 2) {
				t.Errorf("the builds were given %q, want %d builds", engine.from, test.builds)
			}
			if told := slices.ContainsFunc(events.notices, func(text string) bool { return strings.HasSuffix(text, gone.Error()) }); told != (test.builds == 2) {
				t.Errorf("notices %q", events.notices)
			}
			if _, err := os.Stat(lent.folder.Path); err == nil {
				t.Error("the folder with the login stays")
			}
		})
	}
}

// lender is an engine with BuildKit, and a registry that can lose a blob.
type lender struct {
	t      *testing.T
	host   string
	base   string
	lost   atomic.Value // the digest of a blob
	engine *engine.Engine
	found  builder.Engine
	events recordedEvents
}

// recordedEvents records the texts of notices.
type recordedEvents struct{ notices []string }

func (r *recordedEvents) Emit(event Event) {
	if event.Kind == EventNotice {
		r.notices = append(r.notices, event.Text)
	}
}

func newLender(t *testing.T, kind engine.Kind) *lender {
	t.Helper()
	enginetest.UseCLI(t)
	l := &lender{t: t}
	l.lost.Store("none")
	l.host = testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		lost, _ := l.lost.Load().(string)
		if gone := strings.HasSuffix(r.URL.Path, "/blobs/"+lost); !gone {
			return false
		}
		http.NotFound(w, r)
		return true
	})
	l.engine, l.found = startEngine(t, kind, l.host)
	base, err := name.NewTag(l.host + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(base, enginetest.BaseImage(t)); err != nil {
		t.Fatal(err)
	}
	l.base = base.String()
	return l
}

// builtImageName is the name of what a lender builds.
const builtImageName = "localhost/built:1"

// request is the build of a Dockerfile whose first two steps write random bytes.
func (l *lender) request(last string) builder.Request {
	const drawn = "cat /proc/sys/kernel/random/uuid"
	return builder.Request{ImageName: builtImageName, Workspace: workspaceOf(l.t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`,
		".devcontainer/Dockerfile": "FROM " + l.base + "\nRUN " + drawn + " >/first\nRUN " + drawn + " >/second\n" +
			"RUN echo " + last + " >/last\n",
	})}
}

// steps are what the three steps of the built image wrote.
func (l *lender) steps() []string {
	l.t.Helper()
	return strings.Fields(l.engine.Run(l.t, "run", "--rm", builtImageName, "cat", "/first", "/second", "/last"))
}

// publish publishes the built image as prepare does. It returns the digest of what the second step made.
func (l *lender) publish(format compression.Format) (published name.Digest, second string) {
	l.t.Helper()
	saved, err := l.found.Save(l.t.Context(), builtImageName, l.t.TempDir(), format, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	want := publication.Expectation{Hash: strings.Repeat("a", 64), HashVersion: 1, UID: "uid", Platform: "linux/" + runtime.GOARCH}
	image, err := newCandidate(saved, labels(want, "ci", time.Minute), want.Platform)
	if err != nil {
		l.t.Fatal(err)
	}
	repository := testregistry.Repository(l.t, l.host)
	blobs := make([]v1.Layer, 0, len(image.blobs))
	for _, blob := range image.blobs {
		blobs = append(blobs, blob)
	}
	if _, err := transfer.Upload(l.t.Context(), repository, authn.Anonymous, blobs, nil); err != nil {
		l.t.Fatal(err)
	}
	published = repository.Digest(ocidigest.FromBytes(image.manifest).String())
	if err := remote.Put(published, rawManifest(image.manifest)); err != nil {
		l.t.Fatal(err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(image.manifest))
	if err != nil {
		l.t.Fatal(err)
	}
	return published, manifest.Layers[len(manifest.Layers)-2].Digest.String()
}

// buildAnew builds on an engine that has nothing, with the layers of an image, and returns what the steps wrote.
func (l *lender) buildAnew(last string, from name.Digest) []string {
	l.t.Helper()
	l.engine.Run(l.t, "image", "rm", "--force", builtImageName)
	l.engine.Run(l.t, "builder", "prune", "--all", "--force")
	l.engine.Run(l.t, "image", "prune", "--all", "--force")
	p := &preparation{basis: &basis{engine: l.found}, steps: steps{&l.events}, result: &Result{}}
	lent, err := p.lendFrom(l.t.Context(), from, authn.Anonymous, layersPatience)
	if err != nil {
		l.t.Fatal(err)
	}
	request := l.request(last)
	var logs bytes.Buffer
	request.Logs = &logs
	if _, err := p.buildWith(l.t.Context(), lent, request); err != nil {
		l.t.Fatalf("%v\n%s", err, logs.String())
	}
	return l.steps()
}

// TestLayersOfAPublishedImageAreTakenOver publishes an image from each store in each format. BuildKit's inline cache is a
// property of the configuration that has to stay, and refers to layers by their position. Then a layer is lost between
// the answer and the build, as when somebody removes the image: that costs the build its layers, but neither fails it
// nor holds it up.
func TestLayersOfAPublishedImageAreTakenOver(t *testing.T) {
	kinds, formats := []engine.Kind{engine.Docker28Overlay, engine.Docker28Containerd}, []compression.Format{compression.Zstd}
	if os.Getenv(engine.Variable) == "all" { // a kind takes half a minute
		kinds, formats = slices.DeleteFunc(slices.Clone(engine.All), func(k engine.Kind) bool { return !k.HasBuildKit() }), append(formats, compression.Gzip)
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			l := newLender(t, kind)
			if _, err := l.found.Build(t.Context(), l.request("one")); err != nil {
				t.Fatal(err)
			}
			before := l.steps()
			sources, seconds := map[compression.Format]name.Digest{}, map[compression.Format]string{}
			for _, format := range formats {
				sources[format], seconds[format] = l.publish(format)
			}
			for format, source := range sources {
				if got, want := l.buildAnew("two", source), []string{before[0], before[1], "two"}; !slices.Equal(got, want) {
					t.Errorf("%s: the steps wrote %q, want %q", format, got, want)
				}
			}
			if len(l.events.notices) > 0 {
				t.Errorf("notices %q", l.events.notices)
			}
			l.lost.Store(seconds[compression.Zstd])
			began := time.Now()
			if got := l.buildAnew("three", sources[compression.Zstd]); got[1] == before[1] || got[2] != "three" {
				t.Errorf("without a layer the steps wrote %q", got)
			}
			const patience = 30 * time.Second // Docker's own tries take 75 s
			if took := time.Since(began); took > patience {
				t.Errorf("the build took %s", took)
			}
			if len(l.events.notices) != 1 || !strings.HasPrefix(l.events.notices[0], "every step is built, because ") {
				t.Errorf("notices %q", l.events.notices)
			}
		})
	}
}
