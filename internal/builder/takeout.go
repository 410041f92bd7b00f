package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/intake"
	"imagecache.dev/internal/layerrecord"
	"imagecache.dev/internal/outgoing"
	"imagecache.dev/internal/priority"
	"imagecache.dev/internal/savedimage"
)

// takeOut takes an image out of the store by a push, as Engine.Save says.
func (p *program) takeOut(
	ctx context.Context, name, dir string, format compression.Format, progress func(bytes int64),
) (v1.Image, error) {
	record, err := layerrecord.UserFile()
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	pool := compression.NewPool(ctx, format)
	engine := &outgoing.Engine{
		Record: record, Progress: progress, Encoder: compression.Encoder(format),
		Keeps: func(layer string) bool { return keeps(layer, format) },
		Push: func(ctx context.Context, part outgoing.Part, reference string, login []byte) error {
			return p.push(ctx, name, part, reference, login)
		},
		Write: func(content io.Reader) (written *outgoing.Written, err error) {
			priority.Do(ctx, func() { written, err = writeOutgoing(content, dir, pool) })
			return written, err
		},
	}
	if p.name == Podman {
		engine.Naming = outgoing.ByDiffID
		// A layer must come out of a push as it comes out of an archive, where it is not compressed.
		write := engine.Write
		engine.Write = func(content io.Reader) (*outgoing.Written, error) {
			plain, err := savedimage.Decompress(content)
			if err != nil {
				return nil, err
			}
			written, err := write(plain)
			if err == nil {
				_, err = io.Copy(io.Discard, content) // what is after the end of the compressed stream
			}
			return written, errors.Join(err, plain.Close())
		}
		if engine.ConfigDigest, engine.PlainSize, err = p.configDigest(ctx, name); err != nil {
			return nil, err
		}
	}
	var removed sync.WaitGroup
	if p.name == Docker {
		removed.Go(func() { p.removePushed(ctx) })
	}
	taken, err := engine.Take(ctx)
	removed.Wait()
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	var layers []*savedimage.Layer
	for _, l := range taken.Layers {
		if file, ok := l.Written.(*savedimage.Layer); ok {
			layers = append(layers, file)
			continue
		}
		layers = append(layers, savedimage.NewLayer(savedimage.Content{
			Digest: l.Digest, DiffID: l.DiffID, Size: l.Size, PlainSize: l.PlainSize, Format: formatOf(l.MediaType),
			Open: l.Open,
		}))
	}
	image, err := savedimage.New(taken.Config, layers)
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	return takenImage{image, taken}, nil
}

// takenImage is an image with layers that are still in the engine's store.
type takenImage struct {
	v1.Image
	taken *outgoing.Image
}

// Prove compares the layers that stayed in the engine's store with the image's diff IDs.
func (i takenImage) Prove(ctx context.Context) error { return i.taken.Prove(ctx) }

// Prove compares with the image's diff IDs those layers of a saved image that were not compared yet: an image that has
// such layers has a method Prove. An image must not be published before.
func Prove(ctx context.Context, saved v1.Image) error {
	if image, ok := saved.(interface {
		Prove(ctx context.Context) error
	}); ok {
		return image.Prove(ctx)
	}
	return nil
}

func writeOutgoing(content io.Reader, dir string, pool *compression.Pool) (*outgoing.Written, error) {
	l, err := savedimage.WriteLayer(content, dir, pool)
	if err != nil {
		return nil, err
	}
	mediaType, err := l.MediaType()
	if err != nil {
		return nil, err
	}
	c := l.Content()
	return &outgoing.Written{
		DiffID: c.DiffID, Digest: c.Digest, Size: c.Size, PlainSize: c.PlainSize, MediaType: string(mediaType),
		File: l, Open: c.Open,
	}, nil
}

// keeps reports whether a layer of a media type is published as it is: one in gzip always, so that it has the digest
// that it has elsewhere, and one in zstd where the project has that format.
func keeps(mediaType string, format compression.Format) bool {
	switch types.MediaType(mediaType) {
	case types.DockerLayer, types.OCILayer:
		return true
	case types.OCILayerZStd:
		return format == compression.Zstd
	}
	return false
}

func formatOf(mediaType string) compression.Format {
	if types.MediaType(mediaType) == types.OCILayerZStd {
		return compression.Zstd
	}
	return compression.Gzip
}

// configDigest returns the ID of an image in podman's store, and the size of its layers.
func (p *program) configDigest(ctx context.Context, name string) (id v1.Hash, plainSize int64, err error) {
	image, err := p.inspect(ctx, name)
	if err != nil {
		return id, 0, err
	}
	if id, err = v1.NewHash("sha256:" + strings.TrimPrefix(image.ID, "sha256:")); err != nil {
		return id, 0, fmt.Errorf("inspect image %s: %w", name, err)
	}
	return id, image.Size, nil
}

// recordArchive notes the layers of an archive of podman, which names them by their diff IDs: the next publication of
// nearly the same image then leaves them in the store. Without the note it takes longer, so an error changes nothing.
func recordArchive(ctx context.Context, image v1.Image, format compression.Format) {
	record, err := layerrecord.UserFile()
	if err != nil {
		return
	}
	layers, err := image.Layers()
	if err != nil {
		return
	}
	var written []layerrecord.Layer
	for _, l := range layers {
		described, err := partial.Descriptor(l)
		if err != nil {
			return
		}
		diffID, err := l.DiffID()
		if err != nil {
			return
		}
		plainSize, _ := strconv.ParseInt(described.Annotations[imagelabel.UncompressedBytes], 10, 64)
		written = append(written, layerrecord.Layer{
			DiffID: diffID, Digest: described.Digest, Size: described.Size, MediaType: string(described.MediaType),
			PlainSize: plainSize, Pushed: diffID, Encoder: compression.Encoder(format),
			Used: time.Now().UTC().Truncate(time.Second),
		})
	}
	_ = record.Add(ctx, written)
}

// push lets the engine push an image to a registry on loopback. docker can push a name alone, which is removed
// afterwards.
func (p *program) push(ctx context.Context, image string, part outgoing.Part, target string, login []byte) error {
	folder, err := dockerconfig.Private(login, p.name != Podman)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Remove() }()
	c := command{path: p.path, environment: dockerconfig.Environment(folder.Path)}
	if p.name == Podman {
		c.arguments = []string{"push", "--quiet", "--tls-verify=false"}
		if part == outgoing.Layers {
			// podman can't send a layer without compressing it, and zstd is the fastest that it has. Only OCI manifests
			// may name such layers.
			c.arguments = append(c.arguments, "--format", "oci", "--compression-format", "zstd")
		}
		c.arguments = append(c.arguments, image, "docker://"+target)
		return p.runWithFolder(ctx, c)
	}
	if err := p.Tag(ctx, image, target); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		_ = p.Remove(ctx, target)
	}()
	c.arguments = []string{"push", "--quiet", target}
	return p.runWithFolder(ctx, c)
}

// removePushed removes the names of pushes that were killed: nobody listens where they were pushed to.
func (p *program) removePushed(ctx context.Context) {
	printed, err := p.output(
		ctx, "image", "ls", "--filter", "reference="+intake.Pattern, "--format", "{{.Repository}}:{{.Tag}}",
	)
	if err != nil {
		return
	}
	for _, name := range strings.Fields(printed) {
		if parsed, err := reference.NewTag(name); err != nil || listens(ctx, parsed.RegistryStr()) {
			continue
		}
		_ = p.Remove(ctx, name)
	}
}

// listens reports whether a process of this machine accepts connections at an address on loopback.
func listens(ctx context.Context, address string) bool {
	connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}
