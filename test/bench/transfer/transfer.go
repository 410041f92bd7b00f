// Package transfer measures how an image of about 1 GB, made of Debian packages, comes into an engine and out of it
// again: by imagecache, and by the engine's own pull and push of the same image in gzip. The registry is in this process,
// behind a link like the one to S3. Each way takes its turn with its measure, so that whatever else the machine does hits
// both.
//
// These variables choose a part:
//
//	BENCH_ENGINES  the engines: podman, docker-28-overlay2, docker-29 (all), or another one of package engine
//	BENCH_FIGURES  hit, miss (both)
//	BENCH_ROUNDS   how often each way is measured (2)
//	BENCH_STORES   the folder of the engines' stores (memory, if there is enough)
//
// The stores are in memory where that is possible: a disk on which tar alone takes six times as long as in memory hides
// what is measured here. What a hit costs on a disk is in the engine's own pull as well.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/engine"
)

// plan is what a run measures.
type plan struct {
	engines    []engine.Kind
	hits, miss bool
	rounds     int
}

func readPlan() (plan, error) {
	p := plan{engines: []engine.Kind{engine.Podman, engine.Docker28Overlay, engine.Docker29}}
	if text := os.Getenv("BENCH_ENGINES"); text != "" {
		p.engines = nil
		for _, kind := range strings.Split(text, ",") {
			if !slices.Contains(engine.All, engine.Kind(kind)) {
				return p, fmt.Errorf("BENCH_ENGINES: no engine %q; there are: %v", kind, engine.All)
			}
			p.engines = append(p.engines, engine.Kind(kind))
		}
	}
	figures := strings.Split(cmp.Or(os.Getenv("BENCH_FIGURES"), "hit,miss"), ",")
	p.hits, p.miss = slices.Contains(figures, "hit"), slices.Contains(figures, "miss")
	if !p.hits && !p.miss {
		return p, errors.New("BENCH_FIGURES: want hit, miss, or both with a comma between")
	}
	var err error
	if p.rounds, err = strconv.Atoi(cmp.Or(os.Getenv("BENCH_ROUNDS"), "2")); err != nil || p.rounds < 1 {
		return p, errors.New("BENCH_ROUNDS: want a number of at least 1")
	}
	return p, nil
}

// memoryGoal is what a process of imagecache may have, in megabytes.
const memoryGoal = 400

// Run measures the transfers of one image.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	p, err := readPlan()
	if err != nil {
		return nil, err
	}
	layers, err := debianImage(ctx)
	if err != nil {
		return nil, err
	}
	stores := storesFolder()
	dir, err := os.MkdirTemp(stores, "imagecache-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// imagecache makes its folders here.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return nil, fmt.Errorf("set folder: %w", err)
	}
	b := &bench{plan: p, layers: layers, dir: dir, stores: stores}
	type measure struct {
		name string
		run  func(context.Context, engine.Kind) ([]figure.Figure, error)
	}
	var measures []measure
	if p.hits {
		measures = append(measures, measure{"hits", b.hits})
	}
	if p.miss {
		measures = append(measures, measure{"misses", b.misses})
	}
	for _, m := range measures {
		for _, kind := range p.engines {
			fmt.Fprintf(os.Stderr, "    %s of %s, in %d rounds ...\n", m.name, kind, p.rounds)
			some, err := m.run(ctx, kind)
			figures = append(figures, some...)
			if err != nil {
				return figures, fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	if p.hits {
		floor, err := b.floor(ctx)
		if err != nil {
			return figures, err
		}
		figures = append(figures, floor)
	}
	return append(figures, figure.Figure{
		Name: "transfer: memory of imagecache, at most", Value: b.megabytes, Unit: "MB", Goal: memoryGoal, Better: figure.Lower,
	}), nil
}

type bench struct {
	plan
	layers []storedLayer
	// stores is the parent of the engines' folders, with a short path. dir is below it and removed at the end.
	stores, dir string
	// megabytes is the most memory that imagecache had so far.
	megabytes float64
	// fastest is the fastest hit of all engines, in seconds.
	fastest float64
}

// do carries out an order and keeps how much memory it took.
func (b *bench) do(ctx context.Context, e *engine.Engine, state string, o order) (*done, error) {
	took, err := o.run(ctx, e, state)
	if err == nil {
		b.megabytes = max(b.megabytes, took.Megabytes)
	}
	return took, err
}

// series are the measurements of one way.
type series []*done

func (s series) seconds() float64 { return s.median(func(d *done) float64 { return d.Seconds }) }
func (s series) saving() float64  { return s.median(func(d *done) float64 { return d.Saving }) }
func (s series) cpu() float64     { return s.median(func(d *done) float64 { return d.CPU }) }

func (s series) median(of func(*done) float64) float64 {
	var values []float64
	for _, d := range s {
		values = append(values, of(d))
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// against compares the seconds of a way with those of its measure, and the processor time of both.
func (s series) against(kind engine.Kind, what string, measure series, goal float64) []figure.Figure {
	name := fmt.Sprintf("transfer: %s: %s", kind, what)
	return []figure.Figure{
		figure.Figure{Name: name, Value: s.seconds(), Unit: "s", Goal: goal, Better: figure.Lower}.Against(measure.seconds()),
		figure.Figure{Name: name + ", processor time", Value: s.cpu(), Unit: "s", Better: figure.Lower}.Against(measure.cpu()),
	}
}
