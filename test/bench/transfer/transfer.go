// Package transfer measures how long an image takes between podman's store and a registry on loopback: out of it as
// imagecache does against podman push, and into it through imagecache's relay against podman pull, in the same run.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/relay"
	"imagecache.dev/internal/transfer"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/containerenv"
)

// rounds is how often each way is measured; the two take turns, so that whatever else the machine does hits both.
const rounds = 3

const imageName = "localhost/bench/image:1"

// Run measures the transfers of one image.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	dir, err := os.MkdirTemp("", "imagecache-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir}
	defer func() { err = errors.Join(err, b.removeStores()) }()
	image, err := programsImage(filepath.Join(dir, "layers"))
	if err != nil {
		return nil, err
	}
	engine, err := b.newStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := engine.Load(ctx, image, imageName); err != nil {
		return nil, err
	}
	var push, whole, upload []time.Duration
	for range rounds {
		took, err := b.push(ctx)
		if err != nil {
			return nil, err
		}
		push = append(push, took)
		saving, uploading, err := b.upload(ctx, engine)
		if err != nil {
			return nil, err
		}
		whole, upload = append(whole, saving+uploading), append(upload, uploading)
	}
	pull, relayed, err := b.pulls(ctx)
	if err != nil {
		return nil, err
	}
	megabytes := float64(b.bytes) / 1e6
	return []figure.Figure{
		figure.Figure{Name: fmt.Sprintf("uploading the saved layers of an image of %.0f MB, against podman push", megabytes), Value: median(upload), Unit: "s", Goal: 1, Better: figure.Lower}.Against(median(push)),
		figure.Figure{Name: fmt.Sprintf("saving and uploading an image of %.0f MB, against podman push", megabytes), Value: median(whole), Unit: "s", Goal: 1, Better: figure.Lower}.Against(median(push)),
		figure.Figure{Name: fmt.Sprintf("pulling an image of %.0f MB through the relay, against podman pull", megabytes), Value: median(relayed), Unit: "s", Goal: 1.1, Better: figure.Lower}.Against(median(pull)),
	}, nil
}

type bench struct {
	dir    string
	stores []string
	// bytes of the image's compressed layers.
	bytes int64
}

// newStore makes an empty store and leads podman to it from now on.
func (b *bench) newStore(ctx context.Context) (builder.Engine, error) {
	store := filepath.Join(b.dir, fmt.Sprintf("store-%d", len(b.stores)))
	b.stores = append(b.stores, store)
	env, err := containerenv.Write(store, containerenv.Options{})
	if err != nil {
		return nil, err
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("set environment: %w", err)
		}
	}
	return builder.Find(ctx, builder.Podman)
}

func (b *bench) removeStores() error {
	var errs []error
	for _, store := range b.stores {
		errs = append(errs, containerenv.Remove(store))
	}
	return errors.Join(errs...)
}

// startRegistry serves an empty registry, so that no layer is there yet.
func (b *bench) startRegistry() (repository name.Repository, stop func(), err error) {
	blobs, err := os.MkdirTemp(b.dir, "registry-")
	if err != nil {
		return repository, nil, fmt.Errorf("make registry: %w", err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs))))
	repository, err = name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/bench")
	return repository, func() { server.Close(); _ = os.RemoveAll(blobs) }, err
}

// push is what podman does by itself.
func (b *bench) push(ctx context.Context) (time.Duration, error) {
	repository, stop, err := b.startRegistry()
	if err != nil {
		return 0, err
	}
	defer stop()
	began := time.Now()
	err = podman(ctx, "push", "--quiet", "--tls-verify=false", imageName, repository.Name()+":1")
	return time.Since(began), err
}

// upload is what imagecache does: it saves the image, then uploads what the registry doesn't have.
func (b *bench) upload(ctx context.Context, engine builder.Engine) (saving, uploading time.Duration, err error) {
	repository, stop, err := b.startRegistry()
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	folder, err := os.MkdirTemp(b.dir, "saved-")
	if err != nil {
		return 0, 0, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	began := time.Now()
	saved, err := engine.Save(ctx, imageName, folder, compression.Gzip, nil)
	if err != nil {
		return 0, 0, err
	}
	layers, err := saved.Layers()
	if err != nil {
		return 0, 0, fmt.Errorf("read layers: %w", err)
	}
	saving = time.Since(began)
	began = time.Now()
	_, err = transfer.Upload(ctx, repository, authn.Anonymous, layers, nil)
	uploading = time.Since(began)
	b.bytes, _ = bytesOf(layers)
	return saving, uploading, err
}

// pulls pulls the image into empty stores, by podman alone and through the relay.
func (b *bench) pulls(ctx context.Context) (direct, relayed []time.Duration, err error) {
	repository, stop, err := b.startRegistry()
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	if err := podman(ctx, "push", "--quiet", "--tls-verify=false", "--digestfile", filepath.Join(b.dir, "digest"), imageName, repository.Name()+":1"); err != nil {
		return nil, nil, err
	}
	digest, err := os.ReadFile(filepath.Join(b.dir, "digest"))
	if err != nil {
		return nil, nil, fmt.Errorf("read digest: %w", err)
	}
	image := repository.Digest(string(digest))
	for range rounds {
		engine, err := b.newStore(ctx)
		if err != nil {
			return nil, nil, err
		}
		began := time.Now()
		if err := engine.Pull(ctx, image.Name(), "", nil); err != nil {
			return nil, nil, err
		}
		direct = append(direct, time.Since(began))
		if engine, err = b.newStore(ctx); err != nil {
			return nil, nil, err
		}
		began = time.Now()
		if err := pullRelayed(ctx, engine, image); err != nil {
			return nil, nil, err
		}
		relayed = append(relayed, time.Since(began))
	}
	return direct, relayed, nil
}

func pullRelayed(ctx context.Context, engine builder.Engine, image name.Digest) error {
	through, err := relay.Start(ctx, image, authn.Anonymous, relay.PodmanStore, relay.Watch{})
	if err != nil {
		return err
	}
	defer func() { _ = through.Close() }()
	login, err := through.DockerConfig()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "imagecache-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := os.WriteFile(filepath.Join(folder, "config.json"), login, 0o600); err != nil {
		return fmt.Errorf("write login: %w", err)
	}
	return engine.Pull(ctx, through.Reference(), folder, nil)
}

func bytesOf(layers []v1.Layer) (total int64, err error) {
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func median(took []time.Duration) float64 {
	slices.Sort(took)
	return took[len(took)/2].Seconds()
}
