package envtest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	registrytypes "github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/runner"
	"imagecache.dev/test/awsemulator"
)

const (
	// lineRate is 50 Mbit/s, in bytes a second, and lineScale how many bytes one byte of the image stands for.
	lineRate  = 50e6 / 8
	lineScale = 1024
)

// slowLine is a line between a runner and ECR, on which time passes as if each byte were lineScale bytes. It takes one
// transfer at a time.
type slowLine struct {
	*httptest.Server
	target *url.URL

	transfer sync.Mutex
	mu       sync.Mutex
	passed   time.Duration
	sent     int64
	// pass lets time pass. It is set when the world exists.
	pass func(time.Duration)
	// breakAt is a number of bytes after which the connection breaks once.
	breakAt int64
}

// startSlowLine starts a line to an address.
func startSlowLine(t *testing.T, to string) *slowLine {
	t.Helper()
	line := &slowLine{target: &url.URL{Scheme: "http", Host: to}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(line.target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	line.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPatch:
			line.transfer.Lock()
			defer line.transfer.Unlock()
			r.Body = &slowBody{r.Body, line}
		case strings.HasPrefix(r.URL.Path, "/_layers/"):
			line.transfer.Lock()
			defer line.transfer.Unlock()
			w = &slowWriter{w, line}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(line.Close)
	return line
}

// host is where the line begins.
func (l *slowLine) host() string { return l.Listener.Addr().String() }

// count lets the time of some bytes pass, in steps of at most 30 seconds. It returns false where the connection breaks.
func (l *slowLine) count(bytes int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.sent
	l.sent += int64(bytes)
	for left := time.Duration(float64(bytes) * lineScale / lineRate * float64(time.Second)); left > 0; {
		step := min(left, 30*time.Second)
		left -= step
		l.passed += step
		l.pass(step)
	}
	return l.breakAt == 0 || before >= l.breakAt || l.sent < l.breakAt
}

type slowBody struct {
	io.ReadCloser
	line *slowLine
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 32<<10)])
	if !b.line.count(n) {
		return n, errors.New("the line breaks")
	}
	return n, err
}

type slowWriter struct {
	http.ResponseWriter
	line *slowLine
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.line.count(len(p))
	return w.ResponseWriter.Write(p)
}

// bigEngine "builds" an image.
type bigEngine struct {
	builder.Engine // nil: what is not defined here is not called
	image          v1.Image
}

func (e *bigEngine) Name() string { return builder.Podman }
func (e *bigEngine) Ready() error { return nil }
func (e *bigEngine) Build(_ context.Context, r builder.Request) (*builder.Result, error) {
	return &builder.Result{ImageName: r.ImageName, Duration: time.Minute}, nil
}
func (e *bigEngine) Digests(context.Context, string) ([]string, error)     { return nil, nil }
func (e *bigEngine) Pull(context.Context, string, string, io.Writer) error { return nil }
func (e *bigEngine) Save(context.Context, string, string, compression.Format, func(int64)) (v1.Image, error) {
	return e.image, nil
}

// bigImage is an image whose layers have these sizes in bytes.
func bigImage(t *testing.T, sizes ...int64) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, registrytypes.OCIManifestSchema1), registrytypes.OCIConfigJSON)
	for _, size := range sizes {
		layer, err := random.Layer(size, registrytypes.OCILayer)
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// freeAddress is an address on loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// TestTenGiBOverAFiftyMbitLineArePublishedAndPulled shows an image that takes 29 minutes each way, twice as long as one
// grant of upload rights lasts: 10 MiB stand for 10 GiB, and time passes by the bytes. The line breaks once,
// early enough that in no order of the layers 12 minutes pass without a complete one.
func TestTenGiBOverAFiftyMbitLineArePublishedAndPulled(t *testing.T) {
	const mebi = 1 << 20
	address := freeAddress(t)
	line := startSlowLine(t, address)
	line.breakAt = 2 * mebi
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, func(o *awsemulator.Options, s *controllers.Settings) {
		o.Listen, o.AdvertiseHost = address, line.host()
		s.Clock, s.BuildLease = clock, 1000*time.Hour
	})
	h.runner("demo")
	project := h.project("shop", "demo")
	// The line waits where a manager would have acted: its passes come by the machine's clock.
	line.pass = func(step time.Duration) {
		h.pass(clock, step)
		h.untilRenewed(clock, project)
	}

	built := &bigEngine{image: bigImage(t, mebi, 2*mebi, 3*mebi, 4*mebi)}
	result := h.prepare(t, "e-1", &runner.Runner{
		FindEngine: func(context.Context) (builder.Engine, error) { return built, nil },
	})
	h.Expect(result.Outcome).To(Equal(runner.OutcomePublished), result.Reason)
	h.Expect(line.passed).To(BeNumerically("~", 28*time.Minute+38*time.Second, time.Minute), "and hardly a byte was sent twice")
	h.Expect(h.theBuilder().Status.Upload.Grants).To(BeEquivalentTo(3))
	t.Logf("published in %s", line.passed.Round(time.Second))

	line.passed = 0
	h.pass(clock, 30*time.Minute) // the password of the pull is half an hour old
	folder := filepath.Join(t.TempDir(), "images")
	result = h.prepare(t, "e-2", &runner.Runner{
		FindEngine: func(context.Context) (builder.Engine, error) { return built, nil },
		FindStore:  func(context.Context) (runner.Store, error) { return runner.LayoutStore{Folder: folder}, nil },
	})
	h.Expect(result.Outcome).To(Equal(runner.OutcomeHit), result.Reason)
	h.Expect(line.passed).To(BeNumerically("~", 28*time.Minute+38*time.Second, time.Minute))
	t.Logf("pulled in %s", line.passed.Round(time.Second))
}

// prepare runs imagecache prepare's library for an environment.
func (h *harness) prepare(t *testing.T, id string, prepared *runner.Runner) *runner.Result {
	t.Helper()
	workspace := t.TempDir()
	h.Expect(os.WriteFile(filepath.Join(workspace, ".devcontainer.json"), []byte(`{"image": "base"}`), 0o600)).To(Succeed())
	if prepared.Client == nil {
		connection, err := cluster.NewClient(h.config)
		h.Expect(err).NotTo(HaveOccurred())
		prepared.Client = connection
	}
	prepared.Namespace, prepared.Events = h.namespace, silent{}
	result, err := prepared.Prepare(t.Context(), runner.Request{
		Workspace: workspace, Project: "shop", Environment: id, Trigger: v1alpha1.TriggerEnvironmentCreated, Wait: true,
		PublishTimeout: 5 * time.Minute, // without a further grant no byte passes, and so no time of the line
	})
	h.Expect(err).NotTo(HaveOccurred())
	return result
}

type silent struct{}

func (silent) Emit(runner.Event) {}

// theBuilder is the request that published.
func (h *harness) theBuilder() *v1alpha1.DevcontainerImage {
	h.t.Helper()
	list := &v1alpha1.DevcontainerImageList{}
	h.Expect(kube.List(h.ctx, list, client.InNamespace(h.namespace))).To(Succeed())
	for n := range list.Items {
		if item := &list.Items[n]; item.Status.Role == v1alpha1.RoleBuilder {
			return item
		}
	}
	h.t.Fatal("there is no builder")
	return nil
}

// untilRenewed waits until credentials that are due have been replaced: upload rights with less than two minutes left,
// and pull credentials with less than ten.
func (h *harness) untilRenewed(clock *clocktesting.FakePassiveClock, project *v1alpha1.ProjectImageCache) {
	for range 750 {
		if h.t.Failed() {
			return
		}
		list := &v1alpha1.DevcontainerImageList{}
		if err := errors.Join(kube.List(h.ctx, list, client.InNamespace(h.namespace)), h.refresh(project)); err != nil {
			h.t.Errorf("read the credentials: %v", err)
			return
		}
		isDue := func(c *v1alpha1.CredentialReference, least time.Duration) bool {
			return c != nil && c.ExpiresAt.Sub(clock.Now()) < least
		}
		due := isDue(project.Status.PullCredentials, 10*time.Minute)
		for n := range list.Items {
			due = due || isDue(list.Items[n].Status.PushCredentials, 2*time.Minute)
		}
		if !due {
			return
		}
		h.wake(project)
		time.Sleep(20 * time.Millisecond)
	}
	builder := h.theBuilder()
	h.t.Errorf("credentials that are due were not replaced within 15 seconds: now %s; pull %v; %s",
		clock.Now(), project.Status.PullCredentials, describe(builder))
}
