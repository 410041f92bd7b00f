package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/engine"
)

// hitGoals are for the time of a hit against the engine's own pull of the same image in gzip.
var hitGoals = map[engine.Kind]float64{
	engine.Podman: 0.6, engine.Docker28Overlay: 0.75, engine.Docker28Containerd: 0.5, engine.Docker29: 0.5,
}

const (
	// floorGoal is for the fastest hit against unpacking the layers alone.
	floorGoal = 2
	// restGoal is for the bytes of a hit where the base image is already there, against the bytes of the other layers.
	restGoal = 1.01
)

// hits measures pulls into empty stores. What imagecache pulls was published by this version of imagecache.
func (b *bench) hits(ctx context.Context, kind engine.Kind) (figures []figure.Figure, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	image, err := r.put(ctx, b.layers)
	if err != nil {
		return nil, err
	}
	hit, err := r.putPublished(ctx, b.layers, compressed)
	if err != nil {
		return nil, err
	}
	var pulls, hits series
	for range b.rounds {
		err := b.withEngine(ctx, kind, func(e *engine.Engine) error {
			took, err := own(ctx, e, pullOf(kind, image)...)
			pulls = append(pulls, took)
			return err
		})
		if err == nil {
			err = b.withEngine(ctx, kind, func(e *engine.Engine) error {
				took, err := b.do(ctx, e, b.dir, order{Pull: hit})
				hits = append(hits, took)
				return err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	if b.fastest == 0 || hits.seconds() < b.fastest {
		b.fastest = hits.seconds()
	}
	figures = hits.against(kind, "hit, against its own pull in gzip", pulls, hitGoals[kind])
	what := "bytes of a hit where the base image exists, against the rest"
	rest, err := b.rest(ctx, kind, r, compressed, what)
	if err != nil {
		return nil, err
	}
	figures = append(figures, rest)
	if kind == engine.Docker28Containerd || kind == engine.Docker29 {
		if rest, err = b.rest(ctx, kind, r, kept, what+", published by the same engine"); err != nil {
			return nil, err
		}
		figures = append(figures, rest)
	}
	return figures, nil
}

// rest measures how many bytes a hit reads where the engine has the image's lowest layer.
func (b *bench) rest(ctx context.Context, kind engine.Kind, r *registry, as published, what string) (f figure.Figure, err error) {
	base, err := r.put(ctx, b.layers[:1])
	if err != nil {
		return f, err
	}
	hit, err := r.putPublished(ctx, b.layers, as)
	if err != nil {
		return f, err
	}
	want, err := bytesOf(ctx, b.layers[1:], as)
	if err != nil {
		return f, err
	}
	read := int64(0)
	err = b.withEngine(ctx, kind, func(e *engine.Engine) error {
		if _, err := own(ctx, e, pullOf(kind, base)...); err != nil {
			return err
		}
		before := r.served.Load()
		_, err := b.do(ctx, e, b.dir, order{Pull: hit})
		read = r.served.Load() - before
		return err
	})
	return figure.Figure{
		Name: fmt.Sprintf("transfer: %s: %s", kind, what), Value: float64(read) / 1e6, Unit: "MB", Goal: restGoal, Better: figure.Lower,
	}.Against(float64(want) / 1e6), err
}

// withEngine gives an engine with an empty store, which ends afterwards.
func (b *bench) withEngine(ctx context.Context, kind engine.Kind, do func(*engine.Engine) error) (err error) {
	e, err := engine.Open(ctx, kind, engine.Options{Folder: b.stores})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return do(e)
}

func pullOf(kind engine.Kind, image string) []string {
	if kind == engine.Podman {
		return []string{"pull", "--quiet", "--tls-verify=false", image}
	}
	return []string{"pull", "--quiet", image}
}

// floor measures tar, which unpacks the same layers from the page cache.
func (b *bench) floor(ctx context.Context) (floor figure.Figure, err error) {
	var took series
	for range b.rounds {
		folder, err := os.MkdirTemp(b.dir, "floor-")
		if err != nil {
			return floor, fmt.Errorf("make folder: %w", err)
		}
		began := time.Now()
		for _, file := range plainFiles(b.layers) {
			if said, err := exec.CommandContext(ctx, "tar", "-x", "-f", file, "-C", folder).CombinedOutput(); err != nil {
				return floor, fmt.Errorf("tar: %w: %s", err, said)
			}
		}
		took = append(took, &done{Seconds: time.Since(began).Seconds()})
		if err := os.RemoveAll(folder); err != nil {
			return floor, fmt.Errorf("remove folder: %w", err)
		}
	}
	return figure.Figure{
		Name: "transfer: the fastest hit, against tar alone", Value: b.fastest, Unit: "s", Goal: floorGoal, Better: figure.Lower,
	}.Against(took.seconds()), nil
}
