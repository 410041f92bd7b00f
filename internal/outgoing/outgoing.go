// Package outgoing takes an image out of an engine's store by letting the engine push it into a registry on loopback.
// The engine sends only the layers that are needed, several at once, and no archive of the whole image is written.
package outgoing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/intake"
	"imagecache.dev/internal/layerrecord"
)

// Naming is how an engine names the layers that it pushes.
type Naming int

const (
	// ByStoredBlob means that the store has compressed blobs, and pushes them as they are.
	ByStoredBlob Naming = iota
	// ByDiffID means that the engine first asks for a blob with the diff ID, and compresses the layer if the registry has
	// none.
	ByDiffID
)

// Layer is a layer of an image that was taken out.
type Layer struct {
	DiffID, Digest v1.Hash
	Size           int64
	MediaType      string
	// PlainSize is the size when it is decompressed, 0 if that is not known.
	PlainSize int64
	// Written is what Engine.Write returned; nil for a layer whose content is still in the engine's store.
	Written any
	// Open reads the blob of a layer that is in the engine's store. A blob that is not what Digest and DiffID say ends
	// with an error in place of its end. It works until the context of Take ends.
	Open func() (io.ReadCloser, error)
}

// Written is a layer that was written to a file.
type Written struct {
	DiffID, Digest  v1.Hash
	Size, PlainSize int64
	MediaType       string
	// File is for the caller of Take.
	File any
	// Open reads the file.
	Open func() (io.ReadCloser, error)
}

// Image is an image that was taken out: its configuration as the engine has it, and its layers.
type Image struct {
	Config []byte
	Layers []Layer

	engine *Engine
	stored []*storedBlob
}

// ErrMostlyUnknown means that the record lacks most of an image whose engine compresses what it pushes. An archive of
// the image takes less time.
var ErrMostlyUnknown = errors.New("most of the image was never published here")

// Part is what the engine sends in a push.
type Part int

const (
	// Description is the manifest and the configuration, both as the store has them.
	Description Part = iota
	// Layers are layers that the engine compresses, as fast as it can; the manifest and the configuration may be others.
	Layers
)

// Engine is what Take needs of an engine.
type Engine struct {
	Naming Naming
	// ConfigDigest is the digest of the image's configuration, and PlainSize the size of its layers without compression,
	// if Naming is ByDiffID.
	ConfigDigest v1.Hash
	PlainSize    int64
	// Push makes the engine push a part of the image under a reference, with a Docker configuration that has the login.
	Push func(ctx context.Context, part Part, reference string, login []byte) error
	// Write writes a layer, compressed or not, into a file, and compresses it where it is not. Several goroutines call it
	// at once. The same layer gives the same bytes each time.
	Write func(content io.Reader) (*Written, error)
	// Encoder names what Write compresses with. A layer that another one made could not be made again.
	Encoder string
	// Keeps reports whether a layer of a media type may be published as it is.
	Keeps func(mediaType string) bool
	// Record is what this machine published before.
	Record layerrecord.File
	// Progress receives how many bytes the engine has sent; nil where nobody wants to know.
	Progress func(bytes int64)
}

// Take takes the image out of the store. Layers that the store has compressed, and those of which the record has a
// blob, stay there until they are opened.
func (e *Engine) Take(ctx context.Context) (*Image, error) {
	all := &collector{write: e.Write, progress: e.Progress}
	manifest, err := e.describe(ctx, all)
	if err != nil {
		return nil, err
	}
	image := &Image{Config: all.small[manifest.Config.Digest], engine: e}
	if image.Config == nil {
		return nil, fmt.Errorf("the engine did not push the configuration %s", manifest.Config.Digest)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(image.Config))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	r := resolver{engine: e, ctx: ctx, known: slices.DeleteFunc(e.Record.Read(), func(l layerrecord.Layer) bool {
		return !e.Keeps(l.MediaType) || e.Naming == ByDiffID && l.Encoder != e.Encoder
	})}
	if e.Naming == ByDiffID && !r.knowsAll(config.RootFS.DiffIDs) {
		if !r.knowsMost(config.RootFS.DiffIDs) {
			return nil, ErrMostlyUnknown
		}
		all.has = r.knows
		if manifest, err = e.push(ctx, Layers, all); err != nil {
			return nil, err
		}
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf(
			"configuration names %d layers, the manifest %d", len(config.RootFS.DiffIDs), len(manifest.Layers),
		)
	}
	r.written = all.written
	for n, described := range manifest.Layers {
		layer, err := r.resolve(config.RootFS.DiffIDs[n], described)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", n+1, err)
		}
		image.Layers = append(image.Layers, *layer)
	}
	image.stored = r.stored
	return image, e.record(ctx, r.used)
}

// describe has the engine push manifest and configuration, and those layers of a store with blobs that can't stay as
// they are.
func (e *Engine) describe(ctx context.Context, all *collector) (*v1.Manifest, error) {
	if e.Naming == ByDiffID {
		all.has = func(digest v1.Hash) bool { return digest != e.ConfigDigest }
		return e.push(ctx, Description, all)
	}
	// Which blob the configuration is stands in the manifest, which comes last.
	all.has = func(v1.Hash) bool { return true }
	manifest, err := e.push(ctx, Description, all)
	if err != nil {
		return nil, err
	}
	all.has = func(digest v1.Hash) bool { return digest != manifest.Config.Digest && !e.mustWrite(manifest, digest) }
	return e.push(ctx, Description, all)
}

// Prove compares those layers with their diff IDs that were not compared while they were read, and records them. The
// image must not be published before.
func (i *Image) Prove(ctx context.Context) error {
	var proved []layerrecord.Layer
	for _, blob := range i.stored {
		if err := blob.prove(); err != nil {
			return fmt.Errorf("check layer: %w", err)
		}
		proved = append(proved, layerrecord.Layer{
			DiffID: blob.diffID, Digest: blob.digest, Size: blob.size, MediaType: blob.mediaType,
			PlainSize: blob.plainSize.Load(), Pushed: blob.digest,
		})
	}
	return i.engine.record(ctx, proved)
}

// record notes the layers that were written or used. Without the note the next publication takes longer.
func (e *Engine) record(ctx context.Context, layers []layerrecord.Layer) error {
	if len(layers) == 0 {
		return nil
	}
	now := time.Now().UTC().Truncate(time.Second)
	for n := range layers {
		layers[n].Used = now
	}
	if err := e.Record.Add(ctx, layers); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// push lets the engine push once.
func (e *Engine) push(ctx context.Context, part Part, owner intake.Owner) (*v1.Manifest, error) {
	registry, err := intake.Start(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = registry.Close() }()
	login, err := registry.DockerConfig()
	if err != nil {
		return nil, err
	}
	if err := e.Push(ctx, part, registry.Reference(), login); err != nil {
		return nil, err
	}
	tagged, all, err := registry.Tagged()
	if err != nil {
		return nil, err
	}
	return pushed{tagged, all}.image()
}

// maxSmall bounds the blobs that are kept in memory: configurations. Registries take no larger ones.
const maxSmall = 4 << 20

// collector takes all blobs of a push.
type collector struct {
	write    func(content io.Reader) (*Written, error)
	progress func(bytes int64)
	has      func(digest v1.Hash) bool

	mu      sync.Mutex
	small   map[v1.Hash][]byte
	written map[v1.Hash]*Written // by the digest of what the engine sent
	bytes   int64
}

// Has answers with a size that no engine needs: it is not known.
func (c *collector) Has(digest v1.Hash) (int64, bool) { return 0, c.has(digest) }

func (c *collector) Take(content io.Reader) (any, error) {
	counted := &countedReader{content, c}
	small, rest, err := readSmall(counted)
	if err != nil {
		return nil, err
	}
	if small != nil {
		return small, nil
	}
	return c.write(rest)
}

func (c *collector) Took(digest v1.Hash, blob any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.small == nil {
		c.small, c.written = map[v1.Hash][]byte{}, map[v1.Hash]*Written{}
	}
	switch blob := blob.(type) {
	case []byte:
		c.small[digest] = blob
	case *Written:
		c.written[digest] = blob
	}
}

type countedReader struct {
	io.Reader
	collector *collector
}

// progressStep is how many bytes are read between two reports.
const progressStep = 1 << 20

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	c := r.collector
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.bytes / progressStep
	if c.bytes += int64(n); c.progress != nil && c.bytes/progressStep > before {
		c.progress(c.bytes)
	}
	return n, err
}

var errNotSent = errors.New("the engine did not send the layer")
