package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var login = &authn.Basic{Username: "AWS", Password: "of the registry"}

// source is an image in a registry that wants the login. before may answer a request itself.
func source(t *testing.T, before func(w http.ResponseWriter, r *http.Request) (answered bool)) (v1.Image, name.Digest) {
	t.Helper()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != login.Username || password != login.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if before == nil || !before(w, r) {
			store.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	image, err := random.Image(300_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	image = mutate.MediaType(image, types.DockerManifestSchema2)
	return image, write(t, server, image)
}

// write puts an image into a registry.
func write(t *testing.T, server *httptest.Server, image v1.Image) name.Digest {
	t.Helper()
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/projects/web/image-build")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Tag("1"), image, remote.WithAuth(login)); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return repository.Digest(digest.String())
}

func start(t *testing.T, image name.Digest, progress func(done, total int64)) *Relay {
	t.Helper()
	return startFor(t, image, Client{}, Watch{Progress: progress})
}

func startFor(t *testing.T, image name.Digest, client Client, watch Watch) *Relay {
	t.Helper()
	r, err := Start(t.Context(), image, login, client, watch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// relayLogin is the login that an engine reads.
func relayLogin(t *testing.T, r *Relay) authn.Authenticator {
	t.Helper()
	content, err := r.DockerConfig()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), base64.StdEncoding.EncodeToString([]byte(login.Username+":"+login.Password))) {
		t.Error("the engine gets the registry's own credentials")
	}
	var config struct{ Auths map[string]authn.AuthConfig }
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	reference, err := name.NewDigest(r.Reference())
	if err != nil {
		t.Fatal(err)
	}
	return authn.FromConfig(config.Auths[reference.RegistryStr()])
}

// pull pulls through the relay as an engine does.
func pull(t *testing.T, r *Relay) (v1.Image, error) {
	t.Helper()
	reference, err := name.NewDigest(r.Reference())
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithAuth(relayLogin(t, r)))
	if err != nil {
		return nil, err
	}
	return image, validate.Image(image)
}

func TestAnImageIsPulledUnchangedAndCounted(t *testing.T) {
	image, reference := source(t, nil)
	var last, all atomic.Int64
	r := start(t, reference, func(done, total int64) {
		if done < last.Load() {
			t.Errorf("progress went back to %d", done)
		}
		last.Store(done)
		all.Store(total)
	})
	got, err := pull(t, r)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := image.Digest()
	if digest, err := got.Digest(); digest != want || err != nil {
		t.Errorf("pulled %s, %v, want %s", digest, err, want)
	}
	done, total := r.Bytes()
	if done != total || total < 900_000 || last.Load() != done || all.Load() != total {
		t.Errorf("%d of %d bytes, told %d of %d", done, total, last.Load(), all.Load())
	}
}

func TestLayersThatAreNotAskedForAreNotCounted(t *testing.T) {
	image, reference := source(t, nil)
	r := start(t, reference, nil)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := layers[0].Digest()
	size, _ := layers[0].Size()
	answer := get(t, r, "/v2/projects/web/image-build/blobs/"+digest.String(), nil)
	if content, err := io.ReadAll(answer.Body); int64(len(content)) != size || err != nil {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	// The client has the last bytes before the relay has counted them.
	for deadline := time.Now().Add(10 * time.Second); !r.Passed(digest.String()) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if done, total := r.Bytes(); done != size || done >= total {
		t.Errorf("%d of %d bytes, want %d", done, total, size)
	}
	other, _ := layers[1].Digest()
	if !r.Passed(digest.String()) || r.Passed(other.String()) {
		t.Error("want the one layer passed on, and not the other")
	}
}

// get asks the relay with its login.
func get(t *testing.T, r *Relay, path string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	if request.Header.Get("Authorization") == "" {
		request.SetBasicAuth(user, r.password)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestOnlyItsOwnPullIsServed(t *testing.T) {
	_, reference := source(t, nil)
	r := start(t, reference, nil)
	manifest := "/v2/projects/web/image-build/manifests/" + reference.DigestStr()
	wrong := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":guess"))}}
	tests := map[string]struct {
		path   string
		header http.Header
		code   int
	}{
		"the manifest":       {manifest, nil, http.StatusOK},
		"a wrong password":   {manifest, wrong, http.StatusUnauthorized},
		"another repository": {strings.Replace(manifest, "web", "other", 1), nil, http.StatusNotFound},
		"another manifest":   {strings.Replace(manifest, "sha256:", "sha256:0", 1), nil, http.StatusNotFound},
		"another blob":       {"/v2/projects/web/image-build/blobs/sha256:" + strings.Repeat("0", 64), nil, http.StatusNotFound},
		"the catalog":        {"/v2/_catalog", nil, http.StatusNotFound},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			if answer := get(t, r, test.path, test.header); answer.StatusCode != test.code {
				t.Errorf("status %d, want %d", answer.StatusCode, test.code)
			}
		})
	}
}

func TestARegistryThatRefusesIsSaidAtTheStart(t *testing.T) {
	_, reference := source(t, nil)
	if r, err := Start(context.Background(), reference, authn.Anonymous, Client{}, Watch{}); err == nil {
		_ = r.Close()
		t.Error("want an error")
	}
}

func TestAClientThatTakesNothingIsIdleUntilClose(t *testing.T) {
	image, reference := source(t, nil)
	idle := make(chan [2]int64, 100)
	r, err := Start(t.Context(), reference, login, Client{}, Watch{Idle: func(done, total int64) { idle <- [2]int64{done, total} }})
	if err != nil {
		t.Fatal(err)
	}
	if r.idle != nil {
		t.Error("the relay counts as idle before the first blob")
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := layers[0].Digest()
	size, _ := layers[0].Size()
	answer := get(t, r, "/v2/projects/web/image-build/blobs/"+digest.String(), nil)
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again as long as it is idle
		if told := <-idle; told[0] != size || told[1] <= size {
			t.Errorf("%d of %d bytes, want %d", told[0], told[1], size)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for len(idle) > 0 {
		<-idle
	}
	r.tellIdle()
	if len(idle) > 0 {
		t.Error("told after Close")
	}
}
