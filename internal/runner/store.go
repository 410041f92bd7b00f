package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imagelayout"
	"imagecache.dev/internal/registrylogin"
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
	err := s.pullRelayed(ctx, p)
	var failed *relayError
	if !errors.As(err, &failed) || isGone(err) || ctx.Err() != nil {
		return err
	}
	if err := p.checkBefore(ctx); err != nil {
		return err
	}
	p.done, p.total = 0, 0 // the number of bytes is unknown
	image, login, err := p.source()
	if err != nil {
		return err
	}
	if err := s.pullDirectly(ctx, p, login); err != nil {
		return err
	}
	return s.complete(ctx, p, pulled{digest: image.DigestStr(), passed: nothing, image: p.fromRegistry})
}

// pullDirectly lets the engine pull from the registry. The engine reads our login once, and may take longer than the
// password lasts. Where the registry refused it and it was replaced meanwhile, the engine pulls again with the new one,
// and leaves out the layers that it has. That ends: the manager replaces a password about every 40 minutes.
func (s EngineStore) pullDirectly(ctx context.Context, p *pull, login *registrylogin.Login) error {
	for {
		content, password := login.Current()
		err := s.pullAs(ctx, p.reference, p.name, content, p.output)
		if err == nil || ctx.Err() != nil || !refusesPassword(err) || !login.Renew(ctx, password) {
			return err
		}
		_, _ = fmt.Fprintln(p.output, "The password was replaced during the pull; pulling again with the new one")
	}
}

// refusal is how engines tell that a registry refused a password, or its answer itself: ECR's is "denied: Your
// authorization token has expired" (https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html).
// A file system says "permission denied".
var refusal = regexp.MustCompile(
	`(?i)(^|[^:\w])(401|403)\b|unauthorized|forbidden|(^|: )denied|access denied|authorization token|basic auth`)

// refusesPassword reports whether an engine's pull failed because the registry refused its password.
func refusesPassword(err error) bool { return refusal.MatchString(err.Error()) }

// relayError is why a pull through a relay failed. The engine may still be able to pull directly.
type relayError struct{ error }

func (e *relayError) Unwrap() error { return e.error }

// relayClient returns what the relay has to know of an engine.
func relayClient(engine builder.Engine) relay.Client {
	client := relay.Client{WithoutZstd: !builder.TakesZstd(engine)}
	if builder.FindsByDiffIDs(engine) {
		client.Held = func(ctx context.Context, diffIDs []v1.Hash) (int, error) { return builder.Held(ctx, engine, diffIDs) }
	}
	return client
}

// pullRelayed pulls through a relay, which has ended afterwards. The error is a *relayError if nothing was pulled.
func (s EngineStore) pullRelayed(ctx context.Context, p *pull) error {
	image, login, err := p.source()
	if err != nil {
		return err
	}
	watch := relay.Watch{Progress: p.progress, Idle: p.extracting}
	through, err := relay.Start(ctx, image, login, relayClient(s.Engine), watch)
	if err != nil {
		return &relayError{err}
	}
	defer func() { _ = through.Close() }()
	if err := p.trust.check(through.Manifest(), image.DigestStr()); err != nil {
		return err
	}
	if s.loadAbove(ctx, p, through) {
		return nil
	}
	config, err := through.DockerConfig()
	if err != nil {
		return &relayError{err}
	}
	if err := s.pullAs(ctx, through.Reference(), p.name, config, nil); err != nil {
		return &relayError{err}
	}
	p.done, p.total = through.Bytes()
	_ = through.Close() // it tells no progress any more; complete does
	group, both := errgroup.WithContext(ctx)
	// The image keeps the name that it was given.
	group.Go(func() error { return s.Engine.Remove(both, through.Reference()) })
	group.Go(func() error {
		return s.complete(both, p, pulled{digest: through.Digest(), passed: through.Passed, image: through.Image})
	})
	return group.Wait()
}

// loadAbove loads the image above the layers that a graph driver's store has, if it has some: pulling, Docker knows
// a layer only by the compressed digest that it had when it was pulled before. It reports whether the store has the
// image.
func (s EngineStore) loadAbove(ctx context.Context, p *pull, through *relay.Relay) bool {
	held := through.Held()
	if held == 0 || !builder.GraphDriver(s.Engine) {
		return false
	}
	image, err := through.Image(ctx)
	if err != nil {
		return false
	}
	if err := builder.LoadAbove(ctx, s.Engine, image, p.name, held); err != nil {
		_, _ = fmt.Fprintf(p.output, "Can't load the layers above those that exist here, so all are pulled: %v\n", err)
		return false
	}
	p.done, p.total = through.Bytes()
	return true
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
	image, err := p.fromRegistry(ctx)
	if err != nil {
		return err
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
