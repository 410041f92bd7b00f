package runner

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testregistry"
)

// mediaTypes are those of layers in each format.
var mediaTypes = map[compression.Format]types.MediaType{
	compression.Zstd: types.OCILayerZStd, compression.Gzip: types.OCILayer,
}

// publishedLayer is a layer as it is published.
type publishedLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (l publishedLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// compressed returns an image with the layers as imagecache publishes them in a format, and a label.
func compressed(t *testing.T, format compression.Format, layers ...v1.Layer) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := compression.NewWriter(&out, compression.NewPool(t.Context(), format))
		size, err := io.Copy(w, content)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		diffID, err := layer.DiffID()
		if err != nil {
			t.Fatal(err)
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: publishedLayer{static.NewLayer(out.Bytes(), mediaTypes[format]), diffID}, MediaType: mediaTypes[format],
			Annotations: map[string]string{imagelabel.UncompressedBytes: strconv.FormatInt(size, 10)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config = v1.Config{Cmd: []string{"sh"}, Labels: map[string]string{imagelabel.Hash: "of the hit"}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// TestAHitDoesNotReadTheLayersThatTheEngineHas has a base image in the store, whose layers were published as other blobs.
// containerd's store has to read them: it needs the published blobs.
func TestAHitDoesNotReadTheLayersThatTheEngineHas(t *testing.T) {
	for _, kind := range []engine.Kind{engine.Docker20, engine.Docker28Overlay, engine.Podman} {
		t.Run(string(kind), func(t *testing.T) {
			host := testregistry.Start(t, nil)
			e, found := startEngine(t, kind, host)
			// podman notes, for all tests, which blobs it has seen: one of the base's layers is new.
			base, err := mutate.AppendLayers(enginetest.BaseImage(t), randomLayer(t, 1_000_000))
			if err != nil {
				t.Fatal(err)
			}
			e.Load(t, base, "localhost/base:1")
			if kind == engine.Podman {
				e.Run(t, "manifest", "create", "localhost/list:1") // podman lists it, and can't inspect it
			}
			layers, err := base.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for format := range mediaTypes {
				t.Run(string(format), func(t *testing.T) {
					image := compressed(t, format, append(slices.Clone(layers), randomLayer(t, 3_000_000))...)
					wanted := published(t, host, image)
					if err := (EngineStore{found}).pull(t.Context(), wanted); err != nil {
						t.Fatal(err)
					}
					manifest, err := image.Manifest()
					if err != nil {
						t.Fatal(err)
					}
					most := manifest.Config.Size + manifest.Layers[len(layers)].Size
					if wanted.done > most || wanted.total < most {
						t.Errorf("%d of %d bytes were read, want %d at most", wanted.done, wanted.total, most)
					}
					mustWork(t, e, wanted.name)
				})
			}
		})
	}
}

func randomLayer(t *testing.T, bytes int64) v1.Layer {
	t.Helper()
	layer, err := random.Layer(bytes, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// TestAGraphDriverPullsWhatItCantLoad has a registry that answers with a wrong configuration while the image is loaded.
func TestAGraphDriverPullsWhatItCantLoad(t *testing.T) {
	var loading failingLoad
	host := testregistry.Start(t, loading.answer)
	e, found := startEngine(t, engine.Docker28Overlay, host)
	base := enginetest.BaseImage(t)
	e.Load(t, base, "localhost/base:1")
	layers, err := base.Layers()
	if err != nil {
		t.Fatal(err)
	}
	image := compressed(t, compression.Zstd, append(layers, randomLayer(t, 3_000_000))...)
	wanted := published(t, host, image)
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	loading.digest = digest.String()
	loading.config.Store(&config)
	wanted.output = &loading
	if err := (EngineStore{found}).pull(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if !loading.failed.Load() {
		t.Error("the image was loaded with a wrong configuration")
	}
	if id := e.Run(t, "image", "inspect", "--format", "{{.Id}}", wanted.name); id != digest.String() {
		t.Errorf("the image has the ID %s, want %s", id, digest)
	}
	mustWork(t, e, wanted.name)
}

// failingLoad answers requests for a configuration after the first with another one, until the output tells that the load
// failed.
type failingLoad struct {
	config atomic.Pointer[[]byte]
	digest string
	asked  atomic.Int32
	failed atomic.Bool
}

func (f *failingLoad) answer(w http.ResponseWriter, r *http.Request) bool {
	config := f.config.Load()
	if config == nil || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/blobs/"+f.digest) ||
		f.asked.Add(1) == 1 || f.failed.Load() {
		return false
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bytes.Replace(*config, []byte("of the hit"), []byte("of another"), 1)))
	return true
}

func (f *failingLoad) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Can't load the layers")) {
		f.failed.Store(true)
	}
	return len(p), nil
}
