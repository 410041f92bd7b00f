package outgoing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/layerrecord"
	"imagecache.dev/internal/outgoing"
)

// store is an engine with compressed blobs, and one image.
type store struct {
	image v1.Image
	// fails is the error of the next pushes.
	fails error

	mu     sync.Mutex
	pushes int
	writes int
}

func (s *store) push(ctx context.Context, _ outgoing.Part, reference string, login []byte) error {
	s.mu.Lock()
	s.pushes++
	fails := s.fails
	s.mu.Unlock()
	if fails != nil {
		return fails
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	auth, err := dockerconfig.Authenticator(login, tag.RegistryStr())
	if err != nil {
		return err
	}
	once := remote.WithRetryPredicate(func(error) bool { return false })
	return remote.Write(tag, s.image, remote.WithContext(ctx), remote.WithAuth(auth), once)
}

// write keeps a layer in memory, under its diff ID.
func (s *store) write(content io.Reader) (*outgoing.Written, error) {
	all, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.writes++
	s.mu.Unlock()
	layer := static.NewLayer(all, types.OCIUncompressedLayer)
	digest, _ := layer.Digest()
	return &outgoing.Written{
		DiffID: digest, Digest: digest, Size: int64(len(all)), PlainSize: int64(len(all)), MediaType: string(types.OCILayer), File: all,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(all)), nil },
	}, nil
}

func (s *store) engine(t *testing.T, naming outgoing.Naming) *outgoing.Engine {
	t.Helper()
	config, err := s.image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return &outgoing.Engine{
		Naming: naming, ConfigDigest: config, Push: s.push, Write: s.write,
		Keeps:  func(mediaType string) bool { return types.MediaType(mediaType) == types.OCILayer },
		Record: layerrecord.File{Path: filepath.Join(t.TempDir(), "layers.json")},
	}
}

// layer is a layer with a content, of which the configuration may say that it is another one.
type layer struct {
	content, claimed string
	mediaType        types.MediaType
}

func (l layer) packed() []byte {
	if l.mediaType != types.OCILayer {
		return []byte(l.content)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, l.content)
	_ = w.Close()
	return packed.Bytes()
}

func (l layer) Digest() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.packed()))
	return h, err
}
func (l layer) Size() (int64, error)                { return int64(len(l.packed())), nil }
func (l layer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
func (l layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.packed())), nil
}
func (l layer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(l.content)), nil
}

func (l layer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(strings.NewReader(l.content + l.claimed))
	return h, err
}

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func read(t *testing.T, l outgoing.Layer) (string, error) {
	t.Helper()
	content, err := l.Open()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(content)
	return string(all), errors.Join(err, content.Close())
}

func TestBlobsOfAStoreKeepTheirDigests(t *testing.T) {
	first, second := layer{"first", "", types.OCILayer}, layer{strings.Repeat("second", 100_000), "", types.OCILayer}
	s := &store{image: imageOf(t, first, second)}
	e := s.engine(t, outgoing.ByStoredBlob)
	taken, err := e.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, _ := s.image.RawConfigFile()
	if !bytes.Equal(taken.Config, config) || s.writes != 0 || len(taken.Layers) != 2 {
		t.Errorf("%d layers, %d written, configuration %s", len(taken.Layers), s.writes, taken.Config)
	}
	for n, want := range []layer{first, second} {
		digest, _ := want.Digest()
		got, err := read(t, taken.Layers[n])
		if err != nil || taken.Layers[n].Digest != digest || got != string(want.packed()) {
			t.Errorf("layer %d is %s with %d bytes, %v", n, taken.Layers[n].Digest, len(got), err)
		}
	}
	// All was compared while it was read.
	before := s.pushes
	if err := taken.Prove(t.Context()); err != nil || s.pushes != before {
		t.Errorf("Prove: %v, %d further pushes", err, s.pushes-before)
	}
	// The next publication knows it.
	if taken, err = e.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	before = s.pushes
	if err := taken.Prove(t.Context()); err != nil || s.pushes != before {
		t.Errorf("Prove again: %v, %d further pushes", err, s.pushes-before)
	}
	if got := taken.Layers[1].PlainSize; got != 600_000 {
		t.Errorf("the record says that the layer has %d bytes, want 600000", got)
	}
}

func TestABlobThatIsNotTheLayerIsNeverProved(t *testing.T) {
	s := &store{image: imageOf(t, layer{"right", "", types.OCILayer}, layer{"wrong", "something else", types.OCILayer})}
	e := s.engine(t, outgoing.ByStoredBlob)
	taken, err := e.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Prove(t.Context()); err == nil || !strings.Contains(err.Error(), "the configuration says") {
		t.Errorf("Prove: %v", err)
	}
	if _, err := read(t, taken.Layers[1]); err == nil || !strings.Contains(err.Error(), "the configuration says") {
		t.Errorf("read: %v", err)
	}
	if known := e.Record.Read(); len(known) != 0 {
		t.Errorf("recorded %v", known)
	}
}

func TestALayerThatCannotStayAsItIsIsWritten(t *testing.T) {
	s := &store{image: imageOf(t, layer{"gzip", "", types.OCILayer}, layer{"plain", "", types.OCIUncompressedLayer})}
	taken, err := s.engine(t, outgoing.ByStoredBlob).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := taken.Layers[1].Written.([]byte); s.writes != 1 || string(content) != "plain" {
		t.Errorf("%d layers written, the second is %q", s.writes, content)
	}
}

// named is a layer that an engine names by its diff ID.
func named(content string) layer { return layer{content, "", types.OCIUncompressedLayer} }

func TestLayersThatWereWrittenBeforeStayInTheEngine(t *testing.T) {
	s := &store{image: imageOf(t, named("base"), named("one"))}
	e := s.engine(t, outgoing.ByDiffID)
	if _, err := e.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.writes != 2 {
		t.Fatalf("%d layers written, want 2", s.writes)
	}
	s.image = imageOf(t, named("base"), named("two"))
	e.ConfigDigest, _ = s.image.ConfigName()
	taken, err := e.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.writes != 3 || taken.Layers[0].Written != nil || taken.Layers[1].Written == nil {
		t.Errorf("%d layers written, want one more", s.writes-2)
	}
	// The registry may have lost the blob: then it is made again.
	if got, err := read(t, taken.Layers[0]); err != nil || got != "base" || s.writes != 4 {
		t.Errorf("read %q, %v after %d writes", got, err, s.writes)
	}
}

// Another encoder could not make the blob again that was reported.
func TestLayersOfAnotherEncoderAreWritten(t *testing.T) {
	s := &store{image: imageOf(t, named("base"))}
	e := s.engine(t, outgoing.ByDiffID)
	for n, encoder := range []string{"one", "one", "two"} {
		e.Encoder = encoder
		if _, err := e.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 1, 2}[n]; s.writes != want {
			t.Errorf("%d layers written by take %d, want %d", s.writes, n+1, want)
		}
	}
}

func TestAWrittenLayerMustBeTheConfigurations(t *testing.T) {
	wrong := layer{"wrong", "something else", types.OCIUncompressedLayer}
	for _, naming := range []outgoing.Naming{outgoing.ByDiffID, outgoing.ByStoredBlob} {
		s := &store{image: imageOf(t, wrong)}
		e := s.engine(t, naming)
		_, err := e.Take(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the configuration says") || s.writes != 1 {
			t.Errorf("%d: %v after %d writes", naming, err, s.writes)
		}
		if known := e.Record.Read(); len(known) != 0 {
			t.Errorf("%d: recorded %v", naming, known)
		}
	}
}

func TestAnImageThatIsMostlyUnknownIsNotPushed(t *testing.T) {
	s := &store{image: imageOf(t, named("base"))}
	e := s.engine(t, outgoing.ByDiffID)
	if _, err := e.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.image = imageOf(t, named("base"), named("fourteen bytes"))
	e.ConfigDigest, _ = s.image.ConfigName()
	e.PlainSize = 4 + 14
	if _, err := e.Take(t.Context()); !errors.Is(err, outgoing.ErrMostlyUnknown) || s.writes != 1 {
		t.Errorf("%v after %d writes, want ErrMostlyUnknown", err, s.writes)
	}
	e.PlainSize = 4 + 4
	if _, err := e.Take(t.Context()); err != nil || s.writes != 2 {
		t.Errorf("%v after %d writes, want one more", err, s.writes)
	}
}

// A record that is wrong must not bring another content under a digest that was reported.
func TestAWrongRecordIsDropped(t *testing.T) {
	s := &store{image: imageOf(t, named("base"))}
	e := s.engine(t, outgoing.ByDiffID)
	diffID, _ := named("base").DiffID()
	other, _ := named("other").DiffID()
	err := e.Record.Add(t.Context(), []layerrecord.Layer{
		{DiffID: diffID, Digest: other, Size: 5, MediaType: string(types.OCILayer), Pushed: diffID},
	})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := e.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if content, err := taken.Layers[0].Open(); err == nil {
		_ = content.Close()
		t.Error("another content than the reported one was handed out")
	}
	if known := e.Record.Read(); len(known) != 0 {
		t.Errorf("the record still has %v", known)
	}
}

func TestAnEngineThatFailsInABlobFailsItsReader(t *testing.T) {
	s := &store{image: imageOf(t, layer{"content", "", types.OCILayer})}
	taken, err := s.engine(t, outgoing.ByStoredBlob).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.fails = errors.New("the engine died")
	if _, err := read(t, taken.Layers[0]); err == nil || !strings.Contains(err.Error(), "the engine died") {
		t.Errorf("read: %v", err)
	}
	if err := taken.Prove(t.Context()); err == nil {
		t.Error("the layer was proved without having been read")
	}
}

var _ partial.CompressedLayer = layer{}
