package transfer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/test/testregistry"
)

func someLayers(t *testing.T, count int, size int64) []v1.Layer {
	t.Helper()
	layers := make([]v1.Layer, count)
	for i := range layers {
		layer, err := random.Layer(size, types.DockerLayer)
		if err != nil {
			t.Fatal(err)
		}
		layers[i] = layer
	}
	return layers
}

// quick returns an upload that does not wait between its tries.
func quick(repository name.Repository, auth authn.Authenticator) *upload {
	sending := newUpload(repository, auth, nil)
	sending.pause = time.Millisecond
	return sending
}

func hasBlob(t *testing.T, repository name.Repository, layer v1.Layer) bool {
	t.Helper()
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Layer(repository.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	exists, err := partialExists(found)
	return err == nil && exists
}

// partialExists asks the registry for a blob.
func partialExists(layer v1.Layer) (bool, error) {
	content, err := layer.Compressed()
	if err != nil {
		return false, err
	}
	return true, content.Close()
}

func TestUploadPutsAllBlobsAndTellsProgress(t *testing.T) {
	repository := testregistry.Repository(t, testregistry.Start(t, nil))
	layers := someLayers(t, 6, 50_000)
	var mu sync.Mutex
	var last, most int64
	sending := quick(repository, authn.Anonymous)
	sending.meter.progress = func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		last, most = max(last, done), total
	}
	if err := sending.run(context.Background(), layers); err != nil {
		t.Fatal(err)
	}
	for i, layer := range layers {
		if !hasBlob(t, repository, layer) {
			t.Errorf("blob %d is not in the registry", i)
		}
	}
	if last != most || most < 6*50_000 {
		t.Errorf("progress ended at %d of %d bytes", last, most)
	}
}

func TestUploadGoesOnAfterABreak(t *testing.T) {
	var broken atomic.Int32
	host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || broken.Add(1) > 2 {
			return false
		}
		// The connection breaks in the middle of a layer.
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	})
	repository := testregistry.Repository(t, host)
	layers := someLayers(t, 3, 200_000)
	sending := quick(repository, authn.Anonymous)
	if err := sending.run(context.Background(), layers); err != nil {
		t.Fatal(err)
	}
	for i, layer := range layers {
		if !hasBlob(t, repository, layer) {
			t.Errorf("blob %d is not in the registry", i)
		}
	}
	if done := sending.meter.done.Load(); done != sending.meter.total {
		t.Errorf("%d of %d bytes count as done", done, sending.meter.total)
	}
}

// stages are the requests of an upload, in their order.
var stages = map[string]func(r *http.Request) bool{
	"ping":   func(r *http.Request) bool { return r.URL.Path == "/v2/" },
	"exists": func(r *http.Request) bool { return r.Method == http.MethodHead },
	"begin":  func(r *http.Request) bool { return r.Method == http.MethodPost },
	"send":   func(r *http.Request) bool { return r.Method == http.MethodPatch },
	"commit": func(r *http.Request) bool { return r.Method == http.MethodPut },
}

func TestUploadTriesSixTimesInAll(t *testing.T) {
	for stage, matches := range stages {
		for what, fail := range map[string]func(w http.ResponseWriter){
			"503":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
			"429":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
			"a break": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		} {
			for failures, want := range map[int32]int32{1000: 6, 6: 6, 5: 6, 1: 2} {
				t.Run(fmt.Sprintf("%s, %s, %d times", stage, what, failures), func(t *testing.T) {
					var asked atomic.Int32
					host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
						// net/http repeats a request by itself if a connection that it used before turns out to be closed.
						w.Header().Set("Connection", "close")
						if !matches(r) || asked.Add(1) > failures {
							return false
						}
						fail(w)
						return true
					})
					layers := someLayers(t, 1, 10_000)
					sending := quick(testregistry.Repository(t, host), authn.Anonymous)
					err := sending.run(context.Background(), layers)
					if succeeds := failures < 6; succeeds != (err == nil) {
						t.Errorf("error %v", err)
					}
					if asked.Load() != want {
						t.Errorf("the registry was asked %d times, want %d", asked.Load(), want)
					}
					if done := sending.meter.done.Load(); err == nil && done != sending.meter.total {
						t.Errorf("%d of %d bytes count as done", done, sending.meter.total)
					}
				})
			}
		}
	}
}

func TestARequestWithoutAnAnswerIsTriedAgain(t *testing.T) {
	for stage, matches := range stages {
		if stage == "send" {
			continue // see TestAConnectionThatStallsIsBroken
		}
		t.Run(stage, func(t *testing.T) {
			var asked atomic.Int32
			host := testregistry.Start(t, func(_ http.ResponseWriter, r *http.Request) bool {
				if !matches(r) || asked.Add(1) > 1 {
					return false
				}
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Second):
				}
				panic(http.ErrAbortHandler)
			})
			sending := quick(testregistry.Repository(t, host), authn.Anonymous)
			sending.answer = 500 * time.Millisecond
			began := time.Now()
			if err := sending.run(t.Context(), someLayers(t, 1, 10_000)); err != nil {
				t.Fatal(err)
			}
			if asked.Load() < 2 || time.Since(began) > 15*time.Second {
				t.Errorf("asked %d times in %s", asked.Load(), time.Since(began))
			}
		})
	}
}

func TestUploadLeavesOutWhatTheRegistryHas(t *testing.T) {
	var begun atomic.Int32
	host := testregistry.Start(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			begun.Add(1)
		}
		return false
	})
	repository := testregistry.Repository(t, host)
	layers := someLayers(t, 2, 1000)
	for range 2 {
		sending := quick(repository, authn.Anonymous)
		if err := sending.run(context.Background(), layers); err != nil {
			t.Fatal(err)
		}
	}
	if begun.Load() != 2 {
		t.Errorf("%d uploads were begun, want 2", begun.Load())
	}
}

func TestUploadStopsWhereTheRegistryRefuses(t *testing.T) {
	var begun atomic.Int32
	host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		begun.Add(1)
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	sending := quick(testregistry.Repository(t, host), authn.Anonymous)
	if err := sending.run(context.Background(), someLayers(t, 1, 1000)); err == nil {
		t.Fatal("want an error")
	}
	if begun.Load() != 1 {
		t.Errorf("%d tries, want 1: a refusal stays one", begun.Load())
	}
}

func TestUploadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			cancel()
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	sending := quick(testregistry.Repository(t, host), authn.Anonymous)
	sending.pause = time.Hour
	if err := sending.run(ctx, someLayers(t, 2, 1000)); err == nil {
		t.Fatal("want an error")
	}
}
