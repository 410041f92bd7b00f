package runner

import (
	"cmp"
	"fmt"
	"time"

	"imagecache.dev/api/v1alpha1"
)

// phase is what the runner waits for between its request and the answer: first the cache, then perhaps a builder.
type phase struct {
	steps   steps
	result  *Result
	step    *running
	waiting bool
}

// wait ends the lookup, which is answered, and begins to wait for the builder.
func (p *phase) wait(image *v1alpha1.DevcontainerImage) {
	p.answered(image)
	p.waiting = true
	p.step = p.steps.start("Wait", "Waiting: "+builderText(image.Status.Builder))
}

// end ends the phase with what to do next.
func (p *phase) end(image *v1alpha1.DevcontainerImage, next decision) {
	if !p.waiting {
		p.answered(image)
		return
	}
	took := p.step.finished(waitedText(next))
	p.result.Seconds.Wait = seconds(took)
}

func waitedText(next decision) string {
	switch next.Step {
	case stepPull:
		return "The builder published its image"
	case stepBuildAndPublish:
		return "The builder ended without an image, so this environment builds"
	}
	return next.Why
}

// answered ends the lookup.
func (p *phase) answered(image *v1alpha1.DevcontainerImage) {
	status := image.Status
	text := cmp.Or(string(status.CacheResult), "No answer")
	if why := explained(status.Reason, status.Explanation, ""); why != "" {
		text += " (" + why + ")"
	}
	p.result.Seconds.Lookup = seconds(p.step.finished(text))
}

// giveUp ends the phase without an answer.
func (p *phase) giveUp(why string) decision {
	took := seconds(p.step.failed(why))
	if p.waiting {
		p.result.Seconds.Wait = took
	} else {
		p.result.Seconds.Lookup = took
	}
	return decision{stepBuild, why}
}

// builtHere ends a sentence about an answer that did not come. A prebuild, which builds nothing for itself, leaves it
// out.
const builtHere = ", so the image is built here"

// lateText describes what did not arrive in time.
func (p *phase) lateText(next decision) string {
	waited := span(time.Since(p.step.began))
	text := fmt.Sprintf("the cache did not answer within %s"+builtHere, waited)
	switch {
	case p.waiting:
		return fmt.Sprintf("the builder did not publish its image within %s"+builtHere, waited)
	case next.Step == stepAwaitImage:
		text = fmt.Sprintf("the cached image was not available within %s"+builtHere, waited)
	}
	if next.Why != "" {
		text += " (" + next.Why + ")"
	}
	return text
}
