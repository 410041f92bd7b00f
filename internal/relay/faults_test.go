package relay

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/registrylogin"
)

// fault answers a request of a registry's storage, or leaves it to the storage.
type fault func(w http.ResponseWriter, r *http.Request, number int64) (answered bool)

// published is an image in a registry whose storage has addresses with signatures, as ECR's has.
type published struct {
	image     v1.Image
	reference name.Digest
	layers    []v1.Descriptor

	requests atomic.Int64 // of the storage
	sent     atomic.Int64 // bytes by the storage
	// fault may answer a request of the storage itself.
	fault atomic.Pointer[fault]
	// signature is what the storage accepts.
	signature atomic.Int64
	// password is what the registry accepts, and refused how many requests it has refused.
	password atomic.Pointer[string]
	refused  atomic.Int64
}

// breaks lets a fault answer requests from now on.
func (p *published) breaks(f fault) { p.fault.Store(&f) }

// layerBytes has several ranges and frames, and does not end with one of either.
const layerBytes = 5<<20 + 17

// blobStore has the image of all tests, so that only the first one uploads it.
var blobStore = sync.OnceValue(func() http.Handler { return registry.New(registry.Logger(log.New(io.Discard, "", 0))) })

func publish(t *testing.T) *published {
	t.Helper()
	p := &published{}
	p.password.Store(&login.Password)
	store := blobStore()
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the storage gets the registry's credentials")
		}
		if r.URL.Query().Get("signature") != fmt.Sprint("secret", p.signature.Load()) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		number := p.requests.Add(1)
		if f := p.fault.Load(); f != nil && (*f)(w, r, number) {
			return
		}
		store.ServeHTTP(&counting{w, &p.sent}, r)
	}))
	t.Cleanup(storage.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != login.Username {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if password != *p.password.Load() {
			p.refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			http.Redirect(w, r, fmt.Sprint(storage.URL, r.URL.Path, "?signature=secret", p.signature.Load()), http.StatusTemporaryRedirect)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.image = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, layer := range testLayers() {
		image, err := mutate.Append(p.image, mutate.Addendum{
			Layer: layer, MediaType: layer.mediaType,
			Annotations: map[string]string{imagelabel.UncompressedBytes: strconv.Itoa(len(layer.plain))},
		})
		if err != nil {
			t.Fatal(err)
		}
		p.image = image
	}
	manifest, err := p.image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	p.layers = manifest.Layers
	p.reference = write(t, server, p.image)
	return p
}

// testLayers are layers that compress little: in zstd, gzip and zstd.
var testLayers = sync.OnceValue(func() (layers []*testLayer) {
	for n, format := range []compression.Format{compression.Zstd, compression.Gzip, compression.Zstd} {
		random := rand.New(rand.NewPCG(uint64(n), 7))
		plain := make([]byte, layerBytes)
		for n := range plain {
			plain[n] = byte(random.IntN(200))
		}
		var out bytes.Buffer
		w := compression.NewWriter(&out, compression.NewPool(context.Background(), format))
		_, _ = w.Write(plain)
		if err := w.Close(); err != nil {
			panic(err)
		}
		layers = append(layers, &testLayer{plain, out.Bytes(), mediaTypes[format]})
	}
	return layers
})

type counting struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

var mediaTypes = map[compression.Format]types.MediaType{
	compression.Gzip: types.OCILayer, compression.Zstd: types.OCILayerZStd,
}

// testLayer is a layer in memory.
type testLayer struct {
	plain, compressed []byte
	mediaType         types.MediaType
}

func (l *testLayer) hash(of []byte) (v1.Hash, error) {
	digest, _, err := v1.SHA256(bytes.NewReader(of))
	return digest, err
}
func (l *testLayer) Digest() (v1.Hash, error)            { return l.hash(l.compressed) }
func (l *testLayer) DiffID() (v1.Hash, error)            { return l.hash(l.plain) }
func (l *testLayer) Size() (int64, error)                { return int64(len(l.compressed)), nil }
func (l *testLayer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
func (l *testLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.compressed)), nil
}
func (l *testLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.plain)), nil
}

// take reads a layer through a relay, and compares it if that works.
func (p *published) take(t *testing.T, r *Relay, layer int) error {
	t.Helper()
	answer := get(t, r, r.path(layer), nil)
	if answer.StatusCode != http.StatusOK {
		content, err := io.ReadAll(answer.Body)
		return cmp.Or(err, fmt.Errorf("status %d: %s", answer.StatusCode, content))
	}
	// Whole layers in memory take the race detector many times as long as their transfer.
	digest, size, err := v1.SHA256(answer.Body)
	if err != nil {
		return err
	}
	if want := r.offer.blobs[layer+1].served; digest != want.Digest || size != want.Size {
		t.Errorf("layer %d: %d bytes with digest %s, want %d with %s", layer, size, digest, want.Size, want.Digest)
	}
	return nil
}

// path is where clients find a layer.
func (r *Relay) path(layer int) string {
	return "/v2/projects/web/image-build/blobs/" + r.offer.blobs[layer+1].served.Digest.String()
}

// passing gets every layer as it was published, and holding every layer without its compression.
var passing, holding = Client{}, Client{Held: func(_ context.Context, diffIDs []v1.Hash) (int, error) { return len(diffIDs), nil }}

// clients are engines that get layers in different ways.
var clients = map[string]Client{
	"as published": passing, "without compression": holding, "without zstd": {WithoutZstd: true},
}

func TestLayersArriveInEveryWay(t *testing.T) {
	for way, client := range clients {
		t.Run(way, func(t *testing.T) {
			p := publish(t)
			var done, total int64
			r := startFor(t, p.reference, client, Watch{Progress: func(d, all int64) { done, total = d, all }})
			for layer := range p.layers {
				if err := p.take(t, r, layer); err != nil {
					t.Error(err)
				}
			}
			reference, err := name.NewDigest(r.Reference())
			if err != nil {
				t.Fatal(err)
			}
			image, err := remote.Image(reference, remote.WithAuth(relayLogin(t, r)))
			if err != nil {
				t.Fatal(err)
			}
			checkConfig(t, image)
			if digest, _ := image.Digest(); digest.String() != r.Digest() {
				t.Errorf("pulled %s, want %s", digest, r.Digest())
			}
			config, _ := image.ConfigName()
			if want, _ := p.image.ConfigName(); config != want {
				t.Errorf("configuration %s, want %s", config, want)
			}
			_ = r.Close()
			if at, all := r.Bytes(); at != all || done != all || total != all {
				t.Errorf("%d of %d bytes, told %d of %d", at, all, done, total)
			}
			for layer := range p.layers {
				if !r.Passed(r.offer.blobs[layer+1].served.Digest.String()) {
					t.Errorf("layer %d does not count as passed on", layer)
				}
			}
			loaded, err := r.Image(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if digest, err := loaded.Digest(); err != nil || digest.String() != r.Digest() {
				t.Errorf("the image to load is %s, %v", digest, err)
			}
		})
	}
}

// checkConfig compares what the configuration and the manifest of an image tell of its uncompressed layers.
func checkConfig(t *testing.T, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for n, layer := range manifest.Layers {
		if layer.MediaType == types.OCIUncompressedLayer && layer.Digest != config.RootFS.DiffIDs[n] {
			t.Errorf("layer %d has the digest %s, want its diff ID %s", n, layer.Digest, config.RootFS.DiffIDs[n])
		}
	}
}

func TestARangeOfALayerIsServed(t *testing.T) {
	p := publish(t)
	for way, client := range clients {
		r := startFor(t, p.reference, client, Watch{})
		for layer := range p.layers {
			all, err := io.ReadAll(get(t, r, r.path(layer), nil).Body)
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string][]byte{
				"bytes=3000000-":       all[3000000:],
				"bytes=10-3000000":     all[10:3000001],
				"bytes=10-99999999999": all[10:],
				"bytes=-5":             all,
				"bytes=0-1,5-6":        all,
				"bytes=99999999999-":   all,
				"items=1-":             all,
			} {
				answer := get(t, r, r.path(layer), http.Header{"Range": {header}})
				digest, size, err := v1.SHA256(answer.Body)
				if wanted, _, _ := v1.SHA256(bytes.NewReader(want)); err != nil || digest != wanted {
					t.Errorf("%s of layer %d, %s: %d bytes, %v; want %d", header, layer, way, size, err, len(want))
				}
				if status := answer.StatusCode; (status == http.StatusPartialContent) != (len(want) < len(all)) {
					t.Errorf("%s: status %d", header, status)
				}
			}
		}
	}
}

// faults are what a registry's storage does wrong once; the pull does not notice.
var faults = map[string]func(w http.ResponseWriter, r *http.Request){
	"fails":                 func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	"throttles":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	"closes the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"breaks off": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "bytes=", "bytes ", 1)+"/99999999")
		w.Header().Set("Content-Length", "2097152")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"answers with another range": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 1-2097152/99999999")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 2097152))
	},
	"stalls": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "bytes=", "bytes ", 1)+"/99999999")
		w.Header().Set("Content-Length", "2097152")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	},
}

func TestAFaultOfOneRangeIsNotNoticed(t *testing.T) {
	for fault, answer := range faults {
		for way, client := range clients {
			t.Run(fault+" "+way, func(t *testing.T) {
				t.Parallel()
				p := publish(t)
				r := startFor(t, p.reference, client, Watch{})
				r.source.StallAfter(300 * time.Millisecond)
				first := p.requests.Load()
				p.breaks(func(w http.ResponseWriter, r *http.Request, number int64) bool {
					if number == first+2 {
						answer(w, r)
						return true
					}
					return false
				})
				for layer := range p.layers {
					if err := p.take(t, r, layer); err != nil {
						t.Errorf("layer %d: %v", layer, err)
					}
				}
			})
		}
	}
}

func TestALayerThatCannotBeReadLooksSo(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request){
		"missing":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"always fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"refused":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		for way, client := range clients {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				p := publish(t)
				var failed atomic.Value
				r := startFor(t, p.reference, client, Watch{Failed: func(err error) { failed.Store(err.Error()) }})
				if err := p.take(t, r, 1); err != nil || failed.Load() != nil {
					t.Errorf("before: %v, told %v", err, failed.Load())
				}
				p.breaks(func(w http.ResponseWriter, r *http.Request, _ int64) bool { fault(w, r); return true })
				err := p.take(t, r, 0)
				if err == nil {
					t.Fatal("a layer that can't be read has to look so")
				}
				told, _ := failed.Load().(string)
				if told == "" || strings.Contains(told+err.Error(), "secret") {
					t.Errorf("the errors tell nothing, or have the address of the storage: %q, %v", told, err)
				}
				p.fault.Store(nil)
				if err := p.take(t, r, 0); err != nil {
					t.Errorf("another try: %v", err)
				}
			})
		}
	}
}

// TestAWrongByteIsNotHandedOut has a wrong byte in a layer that the relay decompresses. Clients compare the digest of every
// other layer.
func TestAWrongByteIsNotHandedOut(t *testing.T) {
	for layer, name := range []string{"zstd", "gzip"} {
		t.Run(name, func(t *testing.T) {
			p := publish(t)
			r := startFor(t, p.reference, holding, Watch{})
			digest := p.layers[layer].Digest.String()
			p.breaks(func(w http.ResponseWriter, r *http.Request, _ int64) bool {
				if !strings.HasSuffix(r.URL.Path, digest) || !strings.HasPrefix(r.Header.Get("Range"), "bytes=2097152-") {
					return false
				}
				compressed, _ := p.image.LayerByDigest(p.layers[layer].Digest)
				content, _ := compressed.Compressed()
				all, _ := io.ReadAll(content)
				part := bytes.Clone(all[2097152:4194304])
				part[100_000] ^= 1
				w.Header().Set("Content-Range", "bytes 2097152-4194303/"+strconv.Itoa(len(all)))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(part)
				return true
			})
			answer := get(t, r, r.path(layer), nil)
			if content, err := io.ReadAll(answer.Body); err == nil {
				t.Errorf("all %d bytes were handed out", len(content))
			}
			if r.Passed(r.offer.blobs[layer+1].served.Digest.String()) {
				t.Error("the layer counts as passed on")
			}
		})
	}
}

func TestARegistryThatIgnoresRangesIsRead(t *testing.T) {
	for way, client := range clients {
		p := publish(t)
		p.breaks(func(_ http.ResponseWriter, r *http.Request, _ int64) bool {
			r.Header.Del("Range")
			return false
		})
		r := startFor(t, p.reference, client, Watch{})
		for layer := range p.layers {
			if err := p.take(t, r, layer); err != nil {
				t.Errorf("%s: %v", way, err)
			}
		}
		rest := get(t, r, r.path(0), http.Header{"Range": {"bytes=3000000-"}})
		content, err := io.ReadAll(rest.Body)
		if want := r.offer.blobs[1].served.Size - 3000000; err != nil || int64(len(content)) != want {
			t.Errorf("%s: the rest has %d bytes, %v; want %d", way, len(content), err, want)
		}
	}
}

func TestAnAddressThatExpiredIsAskedForAgain(t *testing.T) {
	p := publish(t)
	r := startFor(t, p.reference, passing, Watch{})
	first := p.requests.Load()
	p.breaks(func(w http.ResponseWriter, _ *http.Request, number int64) bool {
		if number != first+3 {
			return false
		}
		p.signature.Add(1) // all addresses of before expire with this request
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	for layer := range p.layers {
		if err := p.take(t, r, layer); err != nil {
			t.Error(err)
		}
	}
}

// TestAPullGoesOnWithANewPassword pulls for longer than the password and the addresses of the layers last.
func TestAPullGoesOnWithANewPassword(t *testing.T) {
	p := publish(t)
	second, reads := "the second", atomic.Int64{}
	read := func(context.Context) ([]byte, error) {
		reads.Add(1)
		return dockerconfig.Encode(dockerconfig.Login{
			Registry: p.reference.Context().RegistryStr(), Username: login.Username, Password: second,
		})
	}
	content, err := dockerconfig.Encode(dockerconfig.Login{
		Registry: p.reference.Context().RegistryStr(), Username: login.Username, Password: login.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := registrylogin.New(p.reference.Context().RegistryStr(), content, read)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Start(t.Context(), p.reference, renewed, Client{}, Watch{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	first := p.requests.Load()
	p.breaks(func(w http.ResponseWriter, _ *http.Request, number int64) bool {
		if number != first+3 {
			return false
		}
		p.password.Store(&second)
		p.signature.Add(1)
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	for layer := range p.layers {
		if err := p.take(t, r, layer); err != nil {
			t.Error(err)
		}
	}
	if p.refused.Load() == 0 || reads.Load() != 1 {
		t.Errorf("%d requests were refused, and the Secret was read %d times, want once", p.refused.Load(), reads.Load())
	}
}

func TestAClientMayAskTwiceAndAtOnce(t *testing.T) {
	for way, client := range clients {
		p := publish(t)
		r := startFor(t, p.reference, client, Watch{})
		var group sync.WaitGroup
		for n := range 3 * maxTransfers {
			group.Go(func() {
				if err := p.take(t, r, n%len(p.layers)); err != nil {
					t.Errorf("%s: %v", way, err)
				}
			})
		}
		group.Wait()
		if done, total := r.Bytes(); done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	}
}

func TestAClientThatGoesAwayEndsItsTransfers(t *testing.T) {
	for way, client := range clients {
		p := publish(t)
		r := startFor(t, p.reference, client, Watch{})
		for range 2 * maxTransfers { // more than may go on at once
			ctx, cancel := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.listener.Addr().String()+r.path(0), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth(user, r.password)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, answer.Body, 1000); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = answer.Body.Close()
		}
		if err := p.take(t, r, 0); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func TestLayersBelowTheFirstAreNotRead(t *testing.T) {
	p := publish(t)
	r := startFor(t, p.reference, passing, Watch{})
	var mu sync.Mutex
	read := map[string]bool{}
	p.breaks(func(_ http.ResponseWriter, r *http.Request, _ int64) bool {
		mu.Lock()
		defer mu.Unlock()
		read[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]] = true
		return false
	})
	if err := p.take(t, r, 1); err != nil {
		t.Fatal(err)
	}
	if err := p.take(t, r, 2); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(read) != 2 || read[p.layers[0].Digest.String()] {
		t.Errorf("read %v; want the layers above the first only", read)
	}
}
