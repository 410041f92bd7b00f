package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

// PrebuildTitle is the title of a prebuild's log.
const PrebuildTitle = "Prebuilding dev container"

// Prebuild makes the project's cache have the image of a configuration: it builds and publishes the image, unless the
// cache has one that does not expire within due, or the last quarter of its retention if that is less. Nothing is
// pulled, and no lifecycle command runs. Of Docker Compose, that holds for each image.
//
// The outcome is Present, Published, or Bypassed for a Docker Compose configuration that the project does not cache.
// Any other end is an error, in one sentence: the cache does not have the image. Request.Trigger is ignored.
func (r *Runner) Prebuild(ctx context.Context, request Request, due time.Duration) (*Result, error) {
	request.Trigger = v1alpha1.TriggerPrebuild
	return r.carryOut(ctx, request, func(p *preparation, ctx context.Context) (*Result, error) {
		p.due = due
		return p.runPrebuild(ctx)
	})
}

// endsWithin reports whether a cached image expires within a time, and is not new. Zero means that its end does not
// matter.
func endsWithin(result *Result, due time.Duration, now time.Time) bool {
	due = min(due, publication.DueWindow(result.Retention))
	return due > 0 && result.Outcome == OutcomePresent && result.ExpiresAt != nil && result.ExpiresAt.Before(now.Add(due))
}

func (p *preparation) runPrebuild(ctx context.Context) (*Result, error) {
	p.steps.section(PrebuildTitle)
	step := p.steps.start("Read", "Reading the configuration")
	err := p.read(ctx)
	if err == nil && p.subject.keyError != nil {
		err = fmt.Errorf("the image can't be cached: %w", p.subject.keyError)
	}
	if err != nil {
		step.failed("Not ready to start")
		return nil, err
	}
	step.finished(p.subjectText())
	if len(p.images) == 0 && p.subject.isBypassed() {
		p.notice(p.composeNotCached())
		p.result.Outcome, p.result.Reason = OutcomeBypassed, v1alpha1.ReasonComposeNotSupported
		return p.result, nil
	}
	return p.prepareImages(ctx, (*preparation).askAndPublish)
}

// askAndPublish asks the cache for an image, and builds and publishes it if the cache has none.
func (p *preparation) askAndPublish(ctx context.Context) (*Result, error) {
	lookup := p.steps.start("Lookup", "Asking the cache")
	image := p.object()
	if err := p.ask(ctx, image); err != nil {
		lookup.failed(err.Error())
		return nil, fmt.Errorf("request image: %w", err)
	}
	image, next := p.answer(ctx, lookup)
	p.result.CacheResult, p.result.Role, p.result.Reason = image.Status.CacheResult, image.Status.Role, next.Why
	switch {
	case interrupted(ctx):
		p.reportFailure(ctx, 0, ErrInterrupted)
		return nil, context.Cause(ctx)
	case next.Step == stepPull:
		if p.present(image); p.refreshes() || !endsWithin(p.result, p.due, time.Now()) {
			return p.result, nil
		}
		p.isDue = true
		expires := p.result.ExpiresAt.UTC().Format(time.DateOnly)
		p.steps.notice(fmt.Sprintf("the image expires on %s; a new one replaces it", expires))
		p.result.Reference, p.result.ExpiresAt, p.result.Retention = "", nil, 0 // of the image that is replaced
		return p.askAndPublish(ctx)
	case next.Step == stepBuildAndPublish:
		return p.published(p.buildAndPublish(ctx, image))
	}
	err := errors.New(strings.Replace(next.Why, builtHere, "", 1))
	p.reportFailure(ctx, 0, err) // else a late answer could make this request a builder that nobody runs
	return nil, err
}

// present takes over what the cache tells about an image that it has.
func (p *preparation) present(image *v1alpha1.DevcontainerImage) {
	p.result.Outcome = OutcomePresent
	p.result.showCached(image.Status.Image)
}

// published makes an error of a build that was not published: nobody uses its image.
func (p *preparation) published(result *Result, err error) (*Result, error) {
	if err == nil && result.Outcome != OutcomePublished {
		err = fmt.Errorf("the image was built and not published: %s", result.Reason)
	}
	if err != nil {
		return nil, err
	}
	image, _ := p.watch.State()
	result.showCached(image.Status.Image)
	return result, nil
}

// showCached copies what the cache tells about an image.
func (r *Result) showCached(image *v1alpha1.CachedImage) {
	if image == nil {
		return
	}
	r.Reference = image.Reference
	if image.ExpiresAt != nil {
		at := image.ExpiresAt.Time
		r.ExpiresAt = &at
		if image.PushedAt != nil {
			r.Retention = at.Sub(image.PushedAt.Time)
		}
	}
}
