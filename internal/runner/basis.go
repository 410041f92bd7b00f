package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/hash"
)

// basis is what the images of one run have in common. A configuration has one image, but one of Docker Compose has one
// for each service that is built.
type basis struct {
	runner  *Runner
	request *Request
	began   time.Time

	hashOptions hash.Options
	project     *v1alpha1.ProjectImageCache
	engine      builder.Engine
	engineErr   error // why there is no engine, if a hit needs none
	store       Store
	layers      v1alpha1.LayerCompression // of published images; empty without a project
	due         time.Duration             // a prebuild replaces images that expire within it; 0 for none

	// building is held during a build: a machine builds one image after the other.
	building chan struct{}

	mu     sync.Mutex // of usableAs of the images
	images []*preparation
}

// errOtherFailed is the cause of a context that the failure of another image ended. The run's error tells what failed.
var errOtherFailed = errors.New("the image of another service failed")

// prepareImages carries out the preparation of each image, all at once, and returns what the run came to. If one fails,
// an environment can't start, so the others end. Those of a prebuild go on: others will find what they publish.
func (p *preparation) prepareImages(
	ctx context.Context, each func(image *preparation, ctx context.Context) (*Result, error),
) (*Result, error) {
	if len(p.images) == 0 {
		p.images = []*preparation{p}
	}
	p.building = make(chan struct{}, 1)
	together, end := context.WithCancelCause(ctx)
	defer end(nil)
	results := make([]*Result, len(p.images))
	var failed error // the first one
	var once sync.Once
	var running sync.WaitGroup
	for i, image := range p.images {
		running.Go(func() {
			defer image.removeSaved()
			result, err := each(image, together)
			results[i] = result
			if err == nil {
				return
			}
			if image.subject.service != nil {
				err = fmt.Errorf("service %s: %w", image.subject.service.Name, err)
			}
			once.Do(func() { failed = err })
			if !p.request.isPrebuild() {
				end(errOtherFailed)
			}
		})
	}
	running.Wait()
	if failed != nil {
		return nil, failed
	}
	return p.whole(results), nil
}

// whole returns the result of the run. The first image is the environment's own.
func (p *preparation) whole(images []*Result) *Result {
	if len(images) == 1 && images[0].Service == "" {
		return images[0]
	}
	whole := *p.result
	whole.combine(images)
	return &whole
}

// holdBuilder waits until no other image of the run is being built.
func (b *basis) holdBuilder(ctx context.Context) (release func(), err error) {
	if b.building == nil {
		return func() {}, nil
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case b.building <- struct{}{}:
		return func() { <-b.building }, nil
	}
}

// usable tells everybody that the image is in its destination and can be used; and, after the last one, that all can.
// meanwhile tells a person what goes on; it may be empty.
func (p *preparation) usable(meanwhile string) {
	p.result.Seconds.Total = seconds(time.Since(p.began))
	if p.result.Image != "" {
		p.steps.events.Emit(Event{Kind: EventUsable, Image: p.result.Image, Text: meanwhile})
	}
	if all := p.allUsable(); all != nil && p.runner.Usable != nil {
		p.runner.Usable(*all)
	}
}

// allUsable returns the result of the run so far, or nil while some images are not usable.
func (p *preparation) allUsable() *Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := *p.result // the run goes on to change its own
	told.Warnings, told.Notices = slices.Clone(told.Warnings), slices.Clone(told.Notices)
	p.usableAs = &told
	if len(p.images) == 0 {
		return &told
	}
	results := make([]*Result, 0, len(p.images))
	for _, image := range p.images {
		if image.usableAs == nil {
			return nil
		}
		results = append(results, image.usableAs)
	}
	return p.images[0].parent().whole(results)
}
