package intake_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/intake"
)

// owner takes what it does not have.
type owner struct {
	has func(v1.Hash) bool
	// fails is the error of every blob that is taken.
	fails error

	mu   sync.Mutex
	took map[v1.Hash]int
	ends int // how many calls of Take have returned

	began chan struct{} // receives when Take begins; may be nil
}

func (o *owner) Has(digest v1.Hash) (int64, bool) { return 1, o.has != nil && o.has(digest) }

func (o *owner) Take(content io.Reader) (any, error) {
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ends++
	}()
	if o.began != nil {
		o.began <- struct{}{}
	}
	if o.fails != nil {
		return nil, o.fails
	}
	all, err := io.ReadAll(content)
	return len(all), err
}

func (o *owner) Took(digest v1.Hash, blob any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.took == nil {
		o.took = map[v1.Hash]int{}
	}
	o.took[digest], _ = blob.(int)
}

func start(t *testing.T, o *owner) (*intake.Intake, name.Tag, remote.Option) {
	t.Helper()
	registry, err := intake.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close() })
	tag, err := name.NewTag(registry.Reference())
	if err != nil {
		t.Fatal(err)
	}
	login, err := registry.DockerConfig()
	if err != nil {
		t.Fatal(err)
	}
	auth, err := dockerconfig.Authenticator(login, tag.RegistryStr())
	if err != nil {
		t.Fatal(err)
	}
	return registry, tag, remote.WithAuth(auth)
}

func randomImage(t *testing.T) (v1.Image, []v1.Hash) {
	t.Helper()
	image, err := random.Image(10_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	blobs := []v1.Hash{manifest.Config.Digest}
	for _, layer := range manifest.Layers {
		blobs = append(blobs, layer.Digest)
	}
	return image, blobs
}

func TestAPushTakesWhatTheOwnerLacks(t *testing.T) {
	image, blobs := randomImage(t)
	o := &owner{has: func(digest v1.Hash) bool { return digest == blobs[1] || digest == blobs[2] }}
	registry, tag, auth := start(t, o)
	if err := remote.Write(tag, image, auth); err != nil {
		t.Fatal(err)
	}
	if len(o.took) != 2 || o.took[blobs[0]] == 0 || o.took[blobs[3]] == 0 {
		t.Errorf("took %v, want the configuration and the last layer of %v", o.took, blobs)
	}
	tagged, all, err := registry.Tagged()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := image.RawManifest()
	if !bytes.Equal(tagged.Content, want) || len(all) != 1 {
		t.Errorf("the manifest is %s, want %s", tagged.Content, want)
	}
}

func TestAForeignClientIsRefused(t *testing.T) {
	registry, tag, _ := start(t, &owner{})
	image, _ := randomImage(t)
	for _, auth := range []authn.Authenticator{authn.Anonymous, &authn.Basic{Username: "imagecache", Password: "guess"}} {
		err := remote.Write(tag, image, remote.WithAuth(auth))
		if err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("a push without the login: %v, want 401", err)
		}
	}
	if _, _, err := registry.Tagged(); err == nil {
		t.Error("the registry has a manifest of a foreign client")
	}
	login, _ := registry.DockerConfig()
	if strings.Contains(string(login), `"guess"`) || !strings.Contains(string(login), tag.RegistryStr()) {
		t.Errorf("the login is %s", login)
	}
}

func TestABlobThatTheOwnerRefusesFailsThePush(t *testing.T) {
	o := &owner{fails: errors.New("no space left on device")}
	registry, tag, auth := start(t, o)
	image, _ := randomImage(t)
	once := remote.WithRetryPredicate(func(error) bool { return false })
	if err := remote.Write(tag, image, auth, once); err == nil {
		t.Error("the push has no error")
	}
	if _, _, err := registry.Tagged(); err == nil {
		t.Error("the registry has a manifest of a push that failed")
	}
}

func TestAWrongBlobIsNotTaken(t *testing.T) {
	o := &owner{}
	registry, tag, _ := start(t, o)
	login, _ := registry.DockerConfig()
	auth, _ := dockerconfig.Authenticator(login, tag.RegistryStr())
	config, _ := auth.Authorization()
	send := func(method, address, body string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(config.Username, config.Password)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	base := "http://" + tag.RegistryStr()
	begun := send(http.MethodPost, base+"/v2/"+tag.RepositoryStr()+"/blobs/uploads/?mount=sha256:aa&from=other", "")
	if begun.StatusCode != http.StatusAccepted {
		t.Fatalf("an upload begins with %s", begun.Status)
	}
	place := base + begun.Header.Get("Location")
	ended := send(http.MethodPut, place+"?digest=sha256:"+strings.Repeat("a", 64), "other bytes")
	if ended.StatusCode < http.StatusBadRequest || len(o.took) > 0 {
		t.Errorf("a blob with another digest: %s, took %v", ended.Status, o.took)
	}
	if o.ends != 1 {
		t.Errorf("%d calls of Take have returned, want 1", o.ends)
	}
}

// An engine that dies in the middle of a blob must leave nothing that waits for the rest.
func TestCloseEndsABlobThatNobodyFinishes(t *testing.T) {
	o := &owner{began: make(chan struct{}, 1)}
	registry, tag, _ := start(t, o)
	login, _ := registry.DockerConfig()
	auth, _ := dockerconfig.Authenticator(login, tag.RegistryStr())
	config, _ := auth.Authorization()
	ctx, die := context.WithCancel(t.Context())
	body, half := io.Pipe()
	address := "http://" + tag.RegistryStr() + "/v2/" + tag.RepositoryStr() + "/blobs/uploads/"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(config.Username, config.Password)
	begun, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = begun.Body.Close()
	request, err = http.NewRequestWithContext(ctx, http.MethodPatch, "http://"+tag.RegistryStr()+begun.Header.Get("Location"), body)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(config.Username, config.Password)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
		}
	}()
	if _, err := half.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	<-o.began
	die()
	_ = half.CloseWithError(context.Canceled) // the client waits for its own body
	<-ended
	if err := registry.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		o.mu.Lock()
		returned := o.ends == 1
		o.mu.Unlock()
		if returned {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("Take still waits for the rest of the blob")
		}
	}
}
