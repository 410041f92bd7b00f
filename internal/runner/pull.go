package runner

import (
	"context"
	"time"

	"imagecache.dev/api/v1alpha1"
)

// pull gets the cached image into the engine's store under the request's name, and reports how that went. Where it
// fails, the environment builds.
func (p *preparation) pull(ctx context.Context, image *v1alpha1.DevcontainerImage) (*Result, error) {
	step := p.steps.start("Pull", "Pulling "+image.Status.Image.Reference)
	began := time.Now()
	err := p.pullImage(ctx, image, step)
	took := time.Since(began)
	if interrupted(ctx) {
		step.failed("interrupted")
		p.lastReport(ctx, func(ctx context.Context) error {
			return p.report.pull(ctx, v1alpha1.PullFailed, took, "interrupted")
		})
		return nil, context.Cause(ctx)
	}
	if err != nil {
		step.failed(err.Error())
		p.tell(ctx, p.report.pull(ctx, v1alpha1.PullFailed, took, err.Error()))
		p.notice("the cached image can't be pulled, so it is built here: " + err.Error())
		return p.buildOnly(ctx, OutcomeBuilt, "PullFailed: "+err.Error())
	}
	text := "Pulled"
	if bytes := image.Status.Image.SizeBytes; bytes != nil {
		text += " " + megabytes(*bytes)
	}
	step.finished(text)
	built := int64(0)
	if image.Status.Image.BuildSeconds != nil {
		built = *image.Status.Image.BuildSeconds
	}
	p.result.Outcome = OutcomeHit
	p.result.Image = p.store.shown(p.localName)
	p.result.Reference = image.Status.Image.Reference
	p.result.Reason = image.Status.Reason
	p.result.SavedSeconds = wholeSeconds(time.Duration(built)*time.Second - took)
	p.result.Seconds.Pull = seconds(took)
	p.steps.events.Emit(Event{Kind: EventSaved, Text: savedLine(built, took)})
	p.tell(ctx, p.report.pull(ctx, v1alpha1.PullSucceeded, took, ""))
	return p.result, nil
}

func (p *preparation) pullImage(ctx context.Context, image *v1alpha1.DevcontainerImage, step *running) error {
	secret, err := CredentialSecret(ctx, p.runner.Client, image.Namespace, image.Status.PullCredentials.SecretName)
	if err != nil {
		return err
	}
	output := &outputLines{events: p.steps.events, step: step.name}
	defer output.flush()
	return p.store.pull(ctx, image.Status.Image.Reference, p.localName, secret, output)
}
