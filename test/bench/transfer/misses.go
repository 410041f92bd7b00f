package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/engine"
)

// missGoals are for the time from the end of a build to the published image, against the engine's own push of the same
// image in full.
var missGoals = map[engine.Kind]float64{
	engine.Docker28Containerd: 0.4, engine.Docker29: 0.4,
}

// againGoal is for publishing again with one small layer changed, against the first publication.
const againGoal = 0.2

// names of the images that are built: the second differs from the first in its last, small layer.
const (
	baseName   = "localhost/bench/base:1"
	firstName  = "localhost/bench/image:1"
	secondName = "localhost/bench/image:2"
)

// misses measures what follows a build.
func (b *bench) misses(ctx context.Context, kind engine.Kind) (figures []figure.Figure, err error) {
	var pushes, first, again series
	err = b.withEngine(ctx, kind, func(e *engine.Engine) error {
		if err := b.build(ctx, e); err != nil {
			return err
		}
		for range b.rounds {
			push, err := b.push(ctx, e)
			if err != nil {
				return err
			}
			one, two, err := b.publish(ctx, e)
			if err != nil {
				return err
			}
			pushes, first, again = append(pushes, push), append(first, one), append(again, two)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	figures = first.against(kind, "end of the build to published, against its own push", pushes, missGoals[kind])
	return append(append(figures, figure.Figure{
		Name: fmt.Sprintf("transfer: %s: of that, until all digests are known", kind), Value: first.saving(), Unit: "s", Better: figure.Lower,
	}), again.against(kind, "publishing again with one small layer changed, against the first", first, againGoal)...), nil
}

// build makes two images that share all layers but the last one. Their base was pulled.
func (b *bench) build(ctx context.Context, e *engine.Engine) (err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	base, err := r.put(ctx, b.layers)
	if err != nil {
		return err
	}
	if _, err := own(ctx, e, pullOf(e.Kind, base)...); err != nil {
		return err
	}
	if _, err := own(ctx, e, "tag", base, baseName); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(b.dir, "build-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, image := range []string{firstName, secondName} {
		err := errors.Join(
			os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM "+baseName+"\nCOPY note /etc/note\n"), 0o600),
			os.WriteFile(filepath.Join(folder, "note"), []byte(image), 0o600),
		)
		if err != nil {
			return fmt.Errorf("write build: %w", err)
		}
		if _, err := own(ctx, e, "build", "--tag", image, folder); err != nil {
			return err
		}
	}
	return nil
}

// push is what the engine does by itself, into an empty registry.
func (b *bench) push(ctx context.Context, e *engine.Engine) (took *done, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	target := r.Address() + "/" + repositoryName + ":1"
	if e.Kind == engine.Podman {
		return own(ctx, e, "push", "--quiet", "--tls-verify=false", firstName, target)
	}
	if _, err := own(ctx, e, "tag", firstName, target); err != nil {
		return nil, err
	}
	return own(ctx, e, "push", "--quiet", target)
}

// publish publishes the first image into an empty registry, then the second one, on a machine without history.
func (b *bench) publish(ctx context.Context, e *engine.Engine) (first, again *done, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	state, err := os.MkdirTemp(b.dir, "state-")
	if err != nil {
		return nil, nil, fmt.Errorf("make folder: %w", err)
	}
	repository := r.Address() + "/" + repositoryName
	if first, err = b.do(ctx, e, state, order{Publish: firstName, Repository: repository}); err != nil {
		return nil, nil, err
	}
	again, err = b.do(ctx, e, state, order{Publish: secondName, Repository: repository})
	return first, again, err
}
