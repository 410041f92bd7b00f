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
// pulled, and no lifecycle command runs.
//
// The outcome is Present, Published, or Bypassed for a Docker Compose configuration that the project does not cache.
// Any other end is an error, in one sentence: the cache does not have the image. Request.Trigger is ignored.
func (r *Runner) Prebuild(ctx context.Context, request Request, due time.Duration) (*Result, error) {
	request.Trigger = v1alpha1.TriggerPrebuild
	result, err := r.carryOut(ctx, request, (*preparation).runPrebuild)
	if err != nil || request.Refresh || !endsWithin(result, due, time.Now()) {
		return result, err
	}
	text := fmt.Sprintf("the image expires on %s; a new one replaces it", result.ExpiresAt.UTC().Format(time.DateOnly))
	r.Events.Emit(Event{Kind: EventNotice, Text: text})
	request.Refresh = true
	return r.carryOut(ctx, request, (*preparation).runPrebuild)
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
	image := p.request.object(p.project, p.runner.Namespace, p.subject)
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
		return p.present(image), nil
	case next.Step == stepBuildAndPublish:
		return p.published(p.buildAndPublish(ctx, image))
	}
	err := errors.New(strings.Replace(next.Why, builtHere, "", 1))
	p.reportFailure(ctx, 0, err) // else a late answer could make this request a builder that nobody runs
	return nil, err
}

// present is the end of a prebuild whose image the cache has.
func (p *preparation) present(image *v1alpha1.DevcontainerImage) *Result {
	p.result.Outcome = OutcomePresent
	p.result.showCached(image.Status.Image)
	return p.result
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
