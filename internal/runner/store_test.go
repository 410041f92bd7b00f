package runner

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelayout"
	"imagecache.dev/test/testimage"
	"imagecache.dev/test/testregistry"
)

// pullOf is a pull of a published image of three layers, with the blobs that its registry was asked for.
func pullOf(t *testing.T) (wanted *pull, image v1.Image, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	wanted, image = pullAnswered(t, func(http.ResponseWriter, string) bool {
		asked.Add(1)
		return false
	})
	return wanted, image, asked
}

// pullAnswered is a pull of a published image of three layers, from a registry where blob may answer a request for a blob.
func pullAnswered(
	t *testing.T, blob func(w http.ResponseWriter, digest string) (answered bool),
) (wanted *pull, image v1.Image) {
	t.Helper()
	host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		_, digest, isBlob := strings.Cut(r.URL.Path, "/blobs/")
		return isBlob && r.Method == http.MethodGet && blob(w, digest)
	})
	image = testimage.Random(t, 100_000, 3)
	repository := testregistry.Repository(t, host)
	if err := remote.Write(repository.Tag("1"), image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]any{"auth": []byte("AWS:password")}}})
	if err != nil {
		t.Fatal(err)
	}
	return &pull{reference: repository.Digest(digest.String()).Name(), name: "imagecache.local/web:1", secret: secret, output: io.Discard}, image
}

// progressOf makes a pull tell how far it is.
func progressOf(p *pull) (told *atomic.Int64) {
	told = &atomic.Int64{}
	p.progress = func(done, _ int64) { told.Store(max(told.Load(), done)) }
	return told
}

func embeddedEngine(t *testing.T) (engine builder.Engine, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "store")
	t.Setenv(builder.StoreVariable, folder)
	engine, err := builder.Find(t.Context(), builder.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	return engine, folder
}

// namesIn are the names of the images in a layout.
func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range manifest.Manifests {
		names = append(names, image.Annotations[imagelayout.NameAnnotation])
	}
	return names
}

func TestAPullIntoAnEngineTellsHowFarItIs(t *testing.T) {
	wanted, image, asked := pullOf(t)
	told := progressOf(wanted)
	engine, folder := embeddedEngine(t)
	if err := (EngineStore{engine}).pull(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if wanted.done != wanted.total || wanted.total < 300_000 || told.Load() != wanted.done {
		t.Errorf("%d of %d bytes, told %d", wanted.done, wanted.total, told.Load())
	}
	if asked.Load() != 4 {
		t.Errorf("%d blobs were asked for, want each once", asked.Load())
	}
	if names := namesIn(t, folder); len(names) != 1 || names[0] != wanted.name {
		t.Errorf("names %q, want that of the request alone", names)
	}
	stored, err := engine.Save(t.Context(), wanted.name, t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := image.ConfigName()
	if got, err := stored.ConfigName(); got != want || err != nil {
		t.Errorf("pulled %s, %v, want %s", got, err, want)
	}
}

func TestWhatWasPulled(t *testing.T) {
	size := int64(45_200_000)
	tests := map[string]struct {
		pull pull
		size *int64
		want string
	}{
		"all of it":        {pull{done: 45_000_000, total: 45_000_000}, &size, "Pulled 45.0 MB"},
		"what was missing": {pull{done: 1_500_000, total: 45_000_000}, &size, "Pulled 1.5 MB of 45.0 MB, the rest existed here"},
		"by the engine":    {pull{}, &size, "Pulled 45.2 MB"},
		"nothing known":    {pull{}, nil, "Pulled"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			if got := test.pull.text(test.size); got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

// watched is an engine that remembers what it pulls.
type watched struct {
	builder.Engine
	before func(pulls int) error // fails the pull
	pulls  []string
}

func (e *watched) Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error {
	e.pulls = append(e.pulls, reference)
	if err := e.before(len(e.pulls)); err != nil {
		return err
	}
	return e.Engine.Pull(ctx, reference, dockerConfigDir, logs)
}

// firstFails is what an engine on another machine says, whose loopback is another one.
func firstFails(pulls int) error {
	if pulls == 1 {
		return errors.New("dial tcp: connection refused")
	}
	return nil
}

func TestAnEngineThatCanNotReachTheRelayPullsByItself(t *testing.T) {
	wanted, _, _ := pullOf(t)
	engine, _ := embeddedEngine(t)
	away := &watched{Engine: engine, before: firstFails}
	if err := (EngineStore{away}).pull(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if len(away.pulls) != 2 || away.pulls[1] != wanted.reference {
		t.Errorf("pulls %q, want the last of %s", away.pulls, wanted.reference)
	}
	if text := wanted.text(nil); text != "Pulled" {
		t.Errorf("it says %q, and how much came is not known", text)
	}
}

func TestAPullThatBreaksInTheRelayIsDoneByTheEngine(t *testing.T) {
	var last atomic.Value // the layer that the registry does not give to the relay
	last.Store("")
	var refused atomic.Int32
	wanted, image := pullAnswered(t, func(w http.ResponseWriter, digest string) bool {
		if digest != last.Load() {
			return false
		}
		refused.Add(1)
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[2].Digest()
	if err != nil {
		t.Fatal(err)
	}
	last.Store(digest.String())
	told := progressOf(wanted)
	engine, folder := embeddedEngine(t)
	broken := &watched{Engine: engine, before: func(pulls int) error {
		if pulls == 2 {
			last.Store("")
		}
		return nil
	}}
	if err := (EngineStore{broken}).pull(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if refused.Load() == 0 || told.Load() < 100_000 {
		t.Errorf("the relay's pull did not break midway: %d refused, %d bytes", refused.Load(), told.Load())
	}
	if len(broken.pulls) != 2 || broken.pulls[1] != wanted.reference || wanted.done != 0 || wanted.total != 0 {
		t.Errorf("pulls %q, %d of %d bytes", broken.pulls, wanted.done, wanted.total)
	}
	if names := namesIn(t, folder); len(names) != 2 || !slices.Contains(names, wanted.name) {
		t.Errorf("names %q", names)
	}
	stored, err := engine.Save(t.Context(), wanted.name, t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := image.ConfigName()
	if got, err := stored.ConfigName(); got != want || err != nil {
		t.Errorf("pulled %s, %v, want %s", got, err, want)
	}
}

// TestAnEngineThatPullsByItselfGetsTheNewPassword replaces the password while the engine pulls: the engine read the old
// one when it began.
func TestAnEngineThatPullsByItselfGetsTheNewPassword(t *testing.T) {
	for name, test := range map[string]struct {
		secrets []string // what the Secret has at each reading
		pulls   int
		works   bool
	}{
		"replaced":                  {[]string{"second"}, 3, true},
		"replaced twice":            {[]string{"second", "third"}, 4, true},
		"not replaced":              {[]string{"password"}, 2, false},
		"replaced, and still fails": {[]string{"second", "second"}, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			wanted, _, _ := pullOf(t)
			engine, _ := embeddedEngine(t)
			host, _, _ := strings.Cut(wanted.reference, "/")
			reads := 0
			wanted.read = func(context.Context) ([]byte, error) {
				reads++
				return json.Marshal(map[string]any{"auths": map[string]any{host: map[string]any{
					"auth": []byte("AWS:" + test.secrets[min(reads, len(test.secrets))-1]),
				}}})
			}
			away := &expired{watched: watched{Engine: engine, before: firstFails}, takes: "nothing"}
			if test.works {
				away.takes = test.secrets[len(test.secrets)-1]
			}
			err := (EngineStore{away}).pull(t.Context(), wanted)
			if (err == nil) != test.works || len(away.pulls) != test.pulls {
				t.Errorf("%d pulls, want %d; error %v", len(away.pulls), test.pulls, err)
			}
		})
	}
}

// TestAPullThatFailsForAnotherReasonReadsNoSecret holds that an engine that can't pull for another reason than the
// password asks the cluster nothing: the cluster may not answer, and the environment would wait.
func TestAPullThatFailsForAnotherReasonReadsNoSecret(t *testing.T) {
	wanted, _, _ := pullOf(t)
	engine, _ := embeddedEngine(t)
	wanted.read = func(context.Context) ([]byte, error) {
		t.Error("the Secret was read")
		return nil, errors.New("the cluster does not answer")
	}
	away := &expired{watched: watched{Engine: engine, before: firstFails}, takes: "nothing", says: "write blob: no space left on device"}
	if err := (EngineStore{away}).pull(t.Context(), wanted); err == nil || len(away.pulls) != 2 {
		t.Errorf("%d pulls, want 2; error %v", len(away.pulls), err)
	}
}

// TestRefusedPasswordsAreKnown holds what engines say of a password that the registry refuses.
func TestRefusedPasswordsAreKnown(t *testing.T) {
	for text, want := range map[string]bool{
		"pull x: denied: Your authorization token has expired. Reauthenticate and try again.":                true,
		"failed to copy: unexpected status from GET request to https://x/v2/y/blobs/sha256:4: 403 Forbidden": true,
		"reading blob sha256:403: fetching blob: invalid status code from registry 403 (Forbidden)":          true,
		"GET https://x/v2/y: UNAUTHORIZED: authentication required":                                          true,
		"unexpected status code 401":                                 true,
		"no basic auth credentials":                                  true,
		"write /var/lib/containers/storage: no space left on device": false,
		"reading blob sha256:401c403e: connection reset by peer":     false,
		"Get \"https://x/v2/\": dial tcp: lookup x: no such host":    false,
		"mkdir /var/lib/docker/tmp: permission denied":               false,
	} {
		if got := refusesPassword(errors.New(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// expired is an engine on another machine whose pulls take so long that only one password works at their end.
type expired struct {
	watched
	takes string
	says  string // instead of ECR's sentence
}

func (e *expired) Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error {
	if len(e.pulls) > 0 { // the first is that of the relay
		content, err := os.ReadFile(filepath.Join(dockerConfigDir, "config.json"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(content), base64.StdEncoding.EncodeToString([]byte("AWS:"+e.takes))) {
			e.pulls = append(e.pulls, reference)
			return errors.New(cmp.Or(e.says, "denied: Your authorization token has expired. Reauthenticate and try again."))
		}
	}
	return e.watched.Pull(ctx, reference, dockerConfigDir, logs)
}

func TestAPullIntoAFolderTellsHowFarItIs(t *testing.T) {
	wanted, _, _ := pullOf(t)
	told := progressOf(wanted)
	store := LayoutStore{Folder: filepath.Join(t.TempDir(), "images")}
	for n, want := range []string{"Pulled 30", "Pulled 0.0 kB of 30"} {
		if err := store.pull(t.Context(), wanted); err != nil {
			t.Fatal(err)
		}
		if text := wanted.text(nil); !strings.HasPrefix(text, want) {
			t.Errorf("pull %d says %q, want %q", n+1, text, want)
		}
	}
	if told.Load() < 300_000 {
		t.Errorf("told %d bytes", told.Load())
	}
	if names := namesIn(t, store.Folder); len(names) != 1 || names[0] != wanted.name {
		t.Errorf("names %q", names)
	}
}

func TestAPullOfNoDigestIsRefused(t *testing.T) {
	wanted := &pull{reference: "registry.example/r:tag"}
	var bad *name.ErrBadName
	if _, _, err := wanted.source(); !errors.As(err, &bad) {
		t.Errorf("error %v", err)
	}
}
