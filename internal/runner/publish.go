package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/priority"
	"imagecache.dev/internal/publication"
)

// buildAndPublish builds as the one builder of the hash, and publishes. After the build no failure stops the
// environment: it has its image.
func (p *preparation) buildAndPublish(ctx context.Context, image *v1alpha1.DevcontainerImage) (*Result, error) {
	lease := cluster.Renew(ctx, p.runner.Client, image)
	defer lease.Stop()
	p.layersFrom = image.Status.LayersFrom
	p.refused = p.pullBases(ctx)
	took, err := p.buildImage(ctx)
	if err != nil {
		p.reportFailure(ctx, took, err)
		return nil, err
	}
	// The files may change as soon as the container is used: its lifecycle commands write into the workspace.
	if p.refused == nil {
		p.refused = p.confirmKey(ctx)
	}
	p.result.Outcome = OutcomeBuilt
	p.usable("The image can be used now; publishing goes on")
	return p.publishBuilt(ctx, image, lease, took)
}

// publishBuilt publishes the built image, or emits why it can't.
func (p *preparation) publishBuilt(
	ctx context.Context, image *v1alpha1.DevcontainerImage, lease *cluster.Lease, took time.Duration,
) (*Result, error) {
	p.result.Outcome = OutcomeBuilt
	began := time.Now()
	outcome, err := p.publish(ctx, image, lease, took)
	p.result.Seconds.Publish = seconds(time.Since(began))
	if outcome == OutcomePublishing {
		p.result.Outcome = outcome
		return p.result, nil // also where this process was interrupted: the other one goes on
	}
	if interrupted(ctx) {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		p.result.Reason = message.Redact(err.Error())
		p.notice("the image was built but not published: " + err.Error())
		return p.result, nil // the environment has its image
	}
	p.result.Outcome = outcome
	return p.result, nil
}

// publish publishes the image, or hands it over to another process that does.
func (p *preparation) publish(
	ctx context.Context, image *v1alpha1.DevcontainerImage, lease *cluster.Lease, took time.Duration,
) (Outcome, error) {
	ctx, cancel := p.withPublishTimeout(ctx)
	defer cancel()
	err := lease.Confirm(ctx)
	if errors.Is(err, cluster.ErrLeaseLost) {
		return "", err // another environment builds now; this one has nothing to report
	}
	if err == nil {
		err = p.refused
	}
	if err != nil {
		p.reportFailure(ctx, took, err)
		return "", causeOr(ctx, err)
	}
	if p.handOver(ctx, image, took) {
		return OutcomePublishing, nil
	}
	return OutcomePublished, p.send(ctx, image, lease, took)
}

// withPublishTimeout limits the time from the end of the build to the published image.
func (p *preparation) withPublishTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.request.PublishTimeout,
		fmt.Errorf("publishing did not finish within %s", span(p.request.PublishTimeout)))
}

// send reports the image, uploads what the cache does not have, and waits until it is published. It works at low
// priority: nobody waits for it.
func (p *preparation) send(
	ctx context.Context, image *v1alpha1.DevcontainerImage, lease *cluster.Lease, took time.Duration,
) error {
	built, err := p.candidate(priority.Low(ctx), image, took)
	if err != nil {
		p.reportFailure(ctx, took, err)
		return causeOr(ctx, err)
	}
	if lease.IsLost() {
		return cluster.ErrLeaseLost
	}
	report := v1alpha1.BuildReport{
		Outcome: v1alpha1.BuildSucceeded, Manifest: string(built.manifest), Config: string(built.config),
		DurationSeconds: ptr.To(wholeSeconds(took)), KeyCoverage: p.coverage,
	}
	if err := p.report.Build(ctx, report); err != nil {
		p.lastReport(ctx, lease.Release)
		return causeOr(ctx, err)
	}
	return causeOr(ctx, p.followPublication(ctx, image, built, lease))
}

// confirmKey checks that the files did not change during the build: an image must not be published under the hash of
// other files.
func (p *preparation) confirmKey(ctx context.Context) error {
	configuration, err := devcontainer.Load(p.request.Workspace, p.request.ConfigPath)
	if err != nil {
		return fmt.Errorf("confirm hash: %w", err)
	}
	now, err := p.subject.again(ctx, configuration)
	if err != nil {
		return fmt.Errorf("confirm hash: %w", err)
	}
	key, err := now.computeKey(ctx, p.hashOptions)
	if err != nil {
		return fmt.Errorf("confirm hash: %w", err)
	}
	if key.Hash != p.subject.key.Hash {
		return errors.New("the configuration, or a file that its hash covers, changed during the build")
	}
	return nil
}

// candidate returns the built image, ready to be published.
func (p *preparation) candidate(
	ctx context.Context, image *v1alpha1.DevcontainerImage, took time.Duration,
) (*candidate, error) {
	saved, err := p.save(ctx)
	if err != nil {
		return nil, err
	}
	want := publication.Expectation{
		Hash: p.subject.key.Hash, HashVersion: p.subject.key.Version, UID: string(image.UID),
		Platform: p.subject.key.Platform,
	}
	built, err := newCandidate(
		saved, labels(want, p.request.Environment, buildTime(image, took, p.cachedSteps)), want.Platform,
	)
	if err != nil {
		return nil, err
	}
	return built, built.check(want)
}

// followPublication does what the status asks for until the image is published, or will not be. If this side can't
// continue, followPublication gives the lease back. After the upload the controller needs no runner.
func (p *preparation) followPublication(
	ctx context.Context, image *v1alpha1.DevcontainerImage, built *candidate, lease *cluster.Lease,
) error {
	attempt := ptr.Deref(image.Spec.UploadAttempt, 0)
	uploads := 0
	step := p.steps.start("Publish", "Publishing")
	for {
		current, deleted := p.watch.State()
		if deleted {
			step.failed("the request was deleted")
			return errors.New("the request was deleted")
		}
		switch next := decidePublish(current, attempt); next.State {
		case publishDone:
			if current.Status.Image != nil {
				p.result.Reference = current.Status.Image.Reference
			}
			step.finished("Published " + p.result.Reference)
			return nil
		case publishRefused:
			step.failed(next.Why)
			return errors.New(next.Why)
		case publishUpload:
			select {
			case <-ctx.Done():
			case <-time.After(uploadPause(uploads)):
			}
			err := p.uploadMissing(ctx, current, built, attempt)
			if errors.Is(err, errPublicationOver) {
				continue // the status tells how
			}
			if err != nil {
				step.failed(causeOr(ctx, err).Error())
				p.lastReport(ctx, lease.Release)
				return err
			}
			attempt++
			if err := p.report.Uploaded(ctx, attempt); err != nil {
				step.failed(causeOr(ctx, err).Error())
				p.lastReport(ctx, lease.Release)
				return err
			}
			uploads++
		}
		select {
		case <-ctx.Done():
			step.failed(context.Cause(ctx).Error())
			if uploads == 0 {
				p.lastReport(ctx, lease.Release)
			}
			return context.Cause(ctx)
		case <-p.watch.Changed():
		}
	}
}

// uploadPause returns how long to wait before an upload, after so many others of the same image. ECR may say of a layer
// that it exists where it tells the controller that it is missing: no upload changes that.
func uploadPause(uploads int) time.Duration {
	if uploads == 0 {
		return 0
	}
	return min(time.Second<<min(uploads-1, 5), 30*time.Second)
}

// causeOr returns why ctx ended, if an error comes from that.
func causeOr(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
