package runner

import (
	"context"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
)

// lateAnswer watches, while an environment builds because its wait timed out, for an answer that makes the
// environment the builder after all. It then holds the Lease, so that no other environment builds the same image.
type lateAnswer struct {
	cancel context.CancelFunc
	done   chan struct{}

	// image and lease are set before done is closed, if that answer came.
	image *v1alpha1.DevcontainerImage
	lease *cluster.Lease
}

func (p *preparation) awaitLateAnswer(ctx context.Context) *lateAnswer {
	watching, cancel := context.WithCancel(ctx)
	late := &lateAnswer{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(late.done)
		for {
			image, deleted := p.watch.State()
			if deleted {
				return
			}
			if decide(image).Step == stepBuildAndPublish {
				late.image = image
				late.lease = cluster.Renew(ctx, p.runner.Client, image)
				return
			}
			select {
			case <-watching.Done():
				return
			case <-p.watch.Changed():
			}
		}
	}()
	return late
}

// came stops the watch, and reports whether the answer came.
func (l *lateAnswer) came() bool {
	l.cancel()
	<-l.done
	return l.lease != nil
}

// buildMeanwhile builds for this environment, and publishes if the environment has become the builder by then.
func (p *preparation) buildMeanwhile(ctx context.Context, reason string) (*Result, error) {
	late := p.awaitLateAnswer(ctx)
	result, err := p.buildOnly(ctx, OutcomeBuilt, reason)
	if !late.came() {
		return result, err
	}
	defer late.lease.Stop()
	if err != nil {
		return result, err
	}
	p.result.CacheResult, p.result.Role = late.image.Status.CacheResult, late.image.Status.Role
	return p.publishBuilt(ctx, late.image, late.lease, p.took)
}
