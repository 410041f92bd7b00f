package runner

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testregistry"
)

// recompressed is an image with the same layers as blobs of other digests, as a builder publishes them that has not kept
// the blobs of its base image. It has a label too.
func recompressed(t *testing.T, image v1.Image) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{imagelabel.Hash: "of the hit"}
	config.RootFS.DiffIDs, config.History = nil, nil
	again, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.DockerManifestSchema2), config)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		plain, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		other, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			tarball.WithCompressionLevel(gzip.HuffmanOnly), tarball.WithMediaType(types.DockerLayer))
		if err != nil {
			t.Fatal(err)
		}
		if again, err = mutate.AppendLayers(again, other); err != nil {
			t.Fatal(err)
		}
	}
	return again
}

// published writes an image into a registry and returns a pull of it.
func published(t *testing.T, host string, image v1.Image) *pull {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference := testregistry.Repository(t, host).Digest(digest.String())
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	return pullFrom(t, host, reference)
}

// pullFrom is a pull of an image in a registry.
func pullFrom(t *testing.T, host string, reference name.Digest) *pull {
	t.Helper()
	secret, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]any{"auth": []byte("AWS:password")}}})
	if err != nil {
		t.Fatal(err)
	}
	return &pull{reference: reference.Name(), name: "imagecache.local/web:1", secret: secret, output: io.Discard}
}

// startEngine starts an engine of the tests' own, which this process then uses.
func startEngine(t *testing.T, kind engine.Kind, registries ...string) (*engine.Engine, builder.Engine) {
	t.Helper()
	started := engine.Start(t, kind, registries...)
	started.Use(t)
	found, err := builder.Find(t.Context(), kind.Program())
	if err != nil {
		t.Fatal(err)
	}
	return started, found
}

// TestAHitOnABaseThatTheEngineHas is about containerd's image store: it leaves out the blob of a layer that it has
// unpacked from another blob, and then has an image without that blob.
func TestAHitOnABaseThatTheEngineHas(t *testing.T) {
	for _, kind := range engine.All {
		for how, get := range map[string]func(t *testing.T, e *engine.Engine, host string, base v1.Image){
			"pulled": func(t *testing.T, e *engine.Engine, host string, base v1.Image) {
				t.Helper()
				reference, err := name.NewTag(host + "/base:1")
				if err != nil {
					t.Fatal(err)
				}
				if err := remote.Write(reference, base); err != nil {
					t.Fatal(err)
				}
				e.Run(t, "pull", reference.String())
			},
			"loaded": func(t *testing.T, e *engine.Engine, _ string, base v1.Image) {
				t.Helper()
				e.Load(t, base, "localhost/base:1")
			},
		} {
			t.Run(string(kind)+", base "+how, func(t *testing.T) {
				host := testregistry.Start(t, nil)
				e, found := startEngine(t, kind, host)
				base := enginetest.BaseImage(t)
				get(t, e, host, base)
				before := e.Run(t, "image", "ls", "--all", "--quiet", "--no-trunc")
				wanted := published(t, host, recompressed(t, base))
				began := time.Now()
				if err := (EngineStore{found}).pull(t.Context(), wanted); err != nil {
					t.Fatal(err)
				}
				t.Logf("pulled within %s: %s", time.Since(began), wanted.text(nil))
				mustWork(t, e, wanted.name)
				if err := found.Remove(t.Context(), wanted.name); err != nil {
					t.Fatal(err)
				}
				if after := e.Run(t, "image", "ls", "--all", "--quiet", "--no-trunc"); after != before {
					t.Errorf("images %s stay, want %s", after, before)
				}
			})
		}
	}
}

// mustWork checks what people do with an image of a hit.
func mustWork(t *testing.T, e *engine.Engine, name string) {
	t.Helper()
	if got := e.Run(t, "image", "inspect", "--format", "{{json .Config.Labels}}", name); !strings.Contains(got, "of the hit") {
		t.Errorf("labels %s, want those of the hit", got)
	}
	if got := e.Run(t, "run", "--rm", name, "sh", "-c", "echo works"); got != "works" {
		t.Errorf("a container says %q", got)
	}
	archive := filepath.Join(t.TempDir(), "saved.tar")
	e.Run(t, "save", "--output", archive, name)
	saved, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatalf("save: %v", err)
	}
	plain := mutate.Extract(saved)
	if _, err := io.Copy(io.Discard, plain); err != nil {
		t.Errorf("the saved image lacks layers: %v", err)
	}
	_ = plain.Close()
	e.Build(t, "localhost/next:1", "FROM "+name+"\nRUN echo next >/next\n")
	if got := e.Run(t, "run", "--rm", "localhost/next:1", "cat", "/next"); got != "next" {
		t.Errorf("the image built FROM it says %q", got)
	}
	e.Run(t, "rmi", "localhost/next:1")
}

// forgetful is an engine whose store reports in turn what reports has, and notes how many layers it was given.
type forgetful struct {
	builder.Engine
	reports []error
	loaded  []int
	removed []string
}

func (f *forgetful) Complete(context.Context, string, string) error {
	report := f.reports[0]
	f.reports = f.reports[1:]
	return report
}

func (f *forgetful) LoadBlobs(ctx context.Context, image v1.Image, name string, without func(digest v1.Hash) bool) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	given := 0
	for _, layer := range layers {
		if digest, err := layer.Digest(); err != nil || !without(digest) {
			given++
		}
	}
	f.loaded = append(f.loaded, given)
	return f.Engine.LoadBlobs(ctx, image, name, without)
}

func (f *forgetful) Remove(ctx context.Context, name string) error {
	f.removed = append(f.removed, name)
	return f.Engine.Remove(ctx, name)
}

func TestAnIncompleteImageIsLoadedOrLosesItsName(t *testing.T) {
	lacks, silent, gone := builder.ErrIncomplete, builder.ErrNotTold, errors.New("no such image")
	tests := map[string]struct {
		reports []error
		passed  int // of the three layers
		loaded  []int
		want    error
	}{
		"complete":              {reports: []error{nil}, passed: 3},
		"left out":              {reports: []error{lacks, nil}, passed: 1, loaded: []int{2}},
		"taken and not kept":    {reports: []error{lacks, lacks, nil}, passed: 3, loaded: []int{3}},
		"left out and not kept": {reports: []error{lacks, lacks, nil}, passed: 2, loaded: []int{1, 3}},
		"beyond repair":         {reports: []error{lacks, lacks, lacks}, passed: 2, loaded: []int{1, 3}, want: lacks},
		"not told, all taken":   {reports: []error{silent, silent}, passed: 3},
		"not told, left out":    {reports: []error{silent, silent}, passed: 0, loaded: []int{3}},
		"gone":                  {reports: []error{gone}, passed: 3, want: gone},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			wanted, image, _ := pullOf(t)
			embedded, _ := embeddedEngine(t)
			if err := embedded.Load(t.Context(), image, wanted.name); err != nil {
				t.Fatal(err)
			}
			layers, err := image.Layers()
			if err != nil {
				t.Fatal(err)
			}
			var taken []string
			for _, layer := range layers[:test.passed] {
				digest, err := layer.Digest()
				if err != nil {
					t.Fatal(err)
				}
				taken = append(taken, digest.String())
			}
			store := &forgetful{Engine: embedded, reports: test.reports}
			err = EngineStore{store}.complete(t.Context(), wanted, pulled{
				digest: digestIn(t, wanted), passed: func(digest string) bool { return slices.Contains(taken, digest) },
				image: func(context.Context) (v1.Image, error) { return image, nil },
			})
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if !slices.Equal(store.loaded, test.loaded) {
				t.Errorf("loaded %v layers, want %v", store.loaded, test.loaded)
			}
			if kept := len(store.removed) == 0; kept != (test.want == nil) {
				t.Errorf("the image kept its name: %t, error %v", kept, err)
			}
		})
	}
}

func digestIn(t *testing.T, p *pull) string {
	t.Helper()
	digest, _, err := p.source()
	if err != nil {
		t.Fatal(err)
	}
	return digest.DigestStr()
}
