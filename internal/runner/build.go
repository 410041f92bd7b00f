package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imagecache.dev/internal/builder"
)

// buildImage runs the builder. The image stands in the engine's store under the request's name afterwards.
func (p *preparation) buildImage(ctx context.Context) (time.Duration, error) {
	if limit := p.request.BuildTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the build took longer than %s", span(limit)))
		defer cancel()
	}
	step := p.steps.start("Build", "Building with "+p.engine.Name())
	output := &outputLines{events: p.steps.events, step: step.name}
	built, err := p.engine.Build(ctx, builder.Request{
		Workspace:  p.subject.configuration.Workspace,
		ConfigPath: p.subject.configuration.Path,
		ImageName:  p.localName,
		Platform:   p.subject.key.Platform,
		NoCache:    p.request.Refresh,
		Logs:       output,
	})
	output.flush()
	if err == nil {
		step.finished("Built " + p.localName)
		p.result.Seconds.Build = seconds(built.Duration)
		return built.Duration, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("build dev container: %w", cause)
	}
	return step.failed("The build failed"), err
}

// buildOnly builds for this environment alone.
func (p *preparation) buildOnly(ctx context.Context, outcome Outcome, reason string) (*Result, error) {
	p.result.Outcome, p.result.Reason = outcome, reason
	if p.subject.isCompose() {
		return p.result, nil
	}
	took, err := p.buildImage(ctx)
	if err != nil {
		p.reportFailure(ctx, took, err)
		return nil, err
	}
	p.result.Image = p.localName
	return p.result, nil
}

// reportFailure tells the controller that this build failed, also when it is we who are being stopped.
func (p *preparation) reportFailure(ctx context.Context, took time.Duration, err error) {
	if p.report == nil {
		return
	}
	message := reasonOf(err)
	if interrupted(ctx) {
		message = "interrupted"
	}
	p.lastReport(ctx, func(ctx context.Context) error { return p.report.buildFailed(ctx, took, message) })
}

// reasonOf is a build's failure without our own words before it.
func reasonOf(err error) string {
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		return failed.Message
	}
	return err.Error()
}
