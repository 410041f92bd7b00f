package runner

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imagelayout"
	"imagecache.dev/internal/relay"
	"imagecache.dev/internal/transfer"
)

// Store is the destination of an environment's image: an engine's image store, or a folder.
type Store interface {
	// pull pulls an image from its registry under a name, and reports its progress.
	pull(ctx context.Context, pull *pull) error
	// put adds an image that an engine built, under a name.
	put(ctx context.Context, image v1.Image, name string) error
	// shown returns the name of an image in this store for a person.
	shown(name string) string
}

// EngineStore is an engine's image store.
type EngineStore struct{ Engine builder.Engine }

// pull makes the engine pull through a relay, which counts the bytes. If that does not work, for example because the
// engine is on another machine, the engine pulls directly. The store then has all of the image, or pull returns an
// error.
func (s EngineStore) pull(ctx context.Context, p *pull) error {
	through, err := s.pullRelayed(ctx, p)
	var untrusted *untrustedError
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.As(err, &untrusted):
		return err
	default:
		if err := p.checkBefore(ctx); err != nil {
			return err
		}
		if err := s.pullAs(ctx, p.reference, p.name, p.secret, p.output); err != nil {
			return err
		}
		p.done, p.total = 0, 0 // the number of bytes is unknown
		return s.complete(ctx, p, nothing)
	}
	group, both := errgroup.WithContext(ctx)
	// The image keeps the name that it was given.
	group.Go(func() error { return s.Engine.Remove(both, through.Reference()) })
	group.Go(func() error { return s.complete(both, p, through.Passed) })
	return group.Wait()
}

// pullRelayed pulls through a relay, which has ended afterwards.
func (s EngineStore) pullRelayed(ctx context.Context, p *pull) (*relay.Relay, error) {
	image, auth, err := p.source()
	if err != nil {
		return nil, err
	}
	through, err := relay.Start(ctx, image, auth, relay.Watch{Progress: p.progress, Idle: p.extracting})
	if err != nil {
		return nil, err
	}
	defer func() { _ = through.Close() }()
	if err := p.trust.check(through.Manifest(), image.DigestStr()); err != nil {
		return nil, err
	}
	login, err := through.DockerConfig()
	if err != nil {
		return nil, err
	}
	if err := s.pullAs(ctx, through.Reference(), p.name, login, nil); err != nil {
		return nil, err
	}
	p.done, p.total = through.Bytes()
	return through, nil
}

// pullAs pulls with a login and tags the image with a name.
func (s EngineStore) pullAs(ctx context.Context, reference, name string, login []byte, output io.Writer) error {
	folder, err := dockerconfig.Private(login, s.Engine.Name() != builder.Podman)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Remove() }()
	if err := s.Engine.Pull(ctx, reference, folder.Path, output); err != nil {
		return err
	}
	if err := s.Engine.Tag(ctx, reference, name); err != nil {
		return fmt.Errorf("tag image: %w", err)
	}
	return nil
}

func (s EngineStore) put(ctx context.Context, image v1.Image, name string) error {
	return s.Engine.Load(ctx, image, name)
}

func (s EngineStore) shown(name string) string { return name }

// LayoutStore is a folder in the OCI image layout. It needs no engine, so a hit needs none either. Processes may use
// one folder at the same time.
type LayoutStore struct{ Folder string }

func (s LayoutStore) pull(ctx context.Context, p *pull) error {
	digest, auth, err := p.source()
	if err != nil {
		return err
	}
	image, err := remote.Image(digest, remote.WithContext(ctx), remote.WithAuth(auth))
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	if err := p.trust.checkImage(image); err != nil {
		return err
	}
	metered, err := transfer.Meter(image, p.progress)
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	if err := s.put(ctx, metered, p.name); err != nil {
		return err
	}
	p.done, p.total = metered.Bytes()
	return nil
}

func (s LayoutStore) put(ctx context.Context, image v1.Image, name string) error {
	if err := (imagelayout.Store{Folder: s.Folder}).Put(ctx, image, name); err != nil {
		return fmt.Errorf("write image layout: %w", err)
	}
	return nil
}

func (s LayoutStore) shown(name string) string { return "oci:" + s.Folder + ":" + name }
