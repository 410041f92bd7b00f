package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/tempfolder"
)

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = errors.New("interrupted")

// SectionTitle is the title of the part of the log that users see.
const SectionTitle = "Creating dev container"

// Runner prepares images. All fields are required, except where nil has a meaning.
type Runner struct {
	// Client of the cluster; ClusterError is set if there is none.
	Client       client.WithWatch
	ClusterError error
	Namespace    string
	// FindEngine returns the engine that builds.
	FindEngine func(ctx context.Context) (builder.Engine, error)
	// FindStore returns the image's destination. Nil means the engine's own store.
	FindStore func(ctx context.Context) (Store, error)
	Events    Events
	// Usable is called as soon as the destination has the image: after the pull, or after the build and before the image
	// is saved and published; of several images, when it has the last one. For a Compose configuration that is not cached
	// the result has no image. Prepare calls it once, on one of its goroutines, in every run that ends without an error,
	// and continues with that image when it returns. A run that is interrupted later
	// ends with an error, and the image exists. Nil means that nobody waits for the image alone.
	Usable func(Result)
	// HandOver gives a publication to another process, which calls Publish, and returns the publication's name. It returns
	// when that process renews the build's Lease, or with an error if that process does nothing with the image. Nil, or an
	// error, means that Prepare publishes itself. Several images of a run may call it at once.
	HandOver func(ctx context.Context, publication Publication) (name string, err error)
}

// preparation is the preparation of one image in a run of Prepare.
type preparation struct {
	*basis
	of       *preparation // the whole configuration, of which this is a service; nil if this is all
	steps    steps
	result   *Result
	usableAs *Result // result as it was when the image was usable; nil before

	subject     subject
	localName   string
	layersFrom  *v1alpha1.LayerSource // that the cache offers to the build
	imageID     string                // of the built image; empty where the engine does not tell it
	coverage    v1alpha1.BuildKeyCoverage
	took        time.Duration // of the build
	cachedSteps int           // of the build, from the engine's layer cache
	saved       *savedImage
	refused     error // why the built image must not be published

	askedAgain bool              // because the image of the first answer was gone
	isDue      bool              // the cached image expires soon, and a new one replaces it
	report     *cluster.Reporter // nil until the request is created
	watch      *cluster.Watcher
}

// Prepare provides an environment with its image: from the cache, or built here. An error means that no image exists;
// it is one sentence. A UsageError is a request that can't be carried out. ErrInterrupted is the cause of a context
// that ended.
func (r *Runner) Prepare(ctx context.Context, request Request) (*Result, error) {
	return r.carryOut(ctx, request, (*preparation).run)
}

// carryOut checks a request, and runs a preparation of it to its end.
func (r *Runner) carryOut(
	ctx context.Context, request Request, run func(p *preparation, ctx context.Context) (*Result, error),
) (*Result, error) {
	request.setDefaults()
	if err := request.Validate(); err != nil {
		return nil, err
	}
	tempfolder.RemoveAbandoned()
	p := r.newPreparation(&request)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.removeSaved()
	result, err := run(p, ctx)
	if err != nil {
		return nil, causeOr(ctx, err)
	}
	result.Seconds.Total = seconds(time.Since(p.began))
	return result, nil
}

func (r *Runner) newPreparation(request *Request) *preparation {
	return &preparation{
		basis: &basis{runner: r, request: request, began: time.Now()}, steps: steps{r.Events},
		result: &Result{Environment: request.Environment, Project: request.Project},
	}
}

func (p *preparation) run(ctx context.Context) (*Result, error) {
	p.steps.section(SectionTitle)
	step := p.steps.start("Read", "Reading the configuration")
	if err := p.read(ctx); err != nil {
		var unreachable *cluster.UnreachableError
		if !errors.As(err, &unreachable) || !p.request.BuildWithoutCluster {
			step.failed("Not ready to start")
			return nil, err
		}
		p.useProject(nil)
		p.makeKey(ctx)
		step.finished(p.subjectText())
		p.notice("building the image here without the cache: " + err.Error())
		return p.buildOnly(ctx, OutcomeBuilt, "ClusterUnreachable: "+err.Error())
	}
	step.finished(p.subjectText())
	if interrupted(ctx) {
		return nil, context.Cause(ctx)
	}
	if p.subject.keyError != nil {
		return p.buildWithoutKey(ctx)
	}
	return p.prepareImages(ctx, (*preparation).askAndCarryOut)
}

// askAndCarryOut asks the cache, and does what it answers.
func (p *preparation) askAndCarryOut(ctx context.Context) (*Result, error) {
	lookup := p.steps.start("Lookup", "Asking the cache")
	image := p.object()
	if err := p.ask(ctx, image); err != nil {
		lookup.failed(err.Error())
		if interrupted(ctx) || apierrors.IsInvalid(err) && p.subject.service == nil {
			return nil, fmt.Errorf("request image: %w", err)
		}
		p.notice("can't ask the cache, so the image is built here: " + err.Error())
		return p.buildOnly(ctx, OutcomeBuilt, "LookupFailed: "+err.Error())
	}
	return p.carryOut(ctx, lookup)
}

// refreshes reports whether the image is built anew even if one is cached.
func (p *preparation) refreshes() bool { return p.request.Refresh || p.isDue }

// object returns the request for the image.
func (p *preparation) object() *v1alpha1.DevcontainerImage {
	image := p.request.object(p.project, p.runner.Namespace, p.subject)
	if p.refreshes() {
		image.Spec.CachePolicy = v1alpha1.CachePolicyRefresh
	}
	return image
}

// ask creates the request and begins to watch it.
func (p *preparation) ask(ctx context.Context, image *v1alpha1.DevcontainerImage) error {
	limited, cancel := context.WithTimeout(ctx, p.request.LookupTimeout)
	defer cancel()
	if err := cluster.Create(limited, p.runner.Client, image); err != nil {
		return cluster.Describe(err)
	}
	p.result.Request, p.result.Namespace = image.Name, image.Namespace
	p.report = cluster.NewReporter(p.runner.Client, client.ObjectKeyFromObject(image))
	p.watch = cluster.Follow(ctx, p.runner.Client, image)
	return nil
}

// carryOut does what the answer asks for.
func (p *preparation) carryOut(ctx context.Context, lookup *running) (*Result, error) {
	image, next := p.answer(ctx, lookup)
	p.result.CacheResult, p.result.Role = image.Status.CacheResult, image.Status.Role
	if interrupted(ctx) {
		p.reportFailure(ctx, 0, ErrInterrupted)
		return nil, context.Cause(ctx)
	}
	switch next.Step {
	case stepPull:
		return p.pull(ctx, image)
	case stepBuildAndPublish:
		p.result.Reason = message.Redact(next.Why)
		return p.buildAndPublish(ctx, image)
	}
	if image.Status.CacheResult != v1alpha1.CacheBypassed {
		p.notice(next.Why)
		return p.buildMeanwhile(ctx, next.Why)
	}
	if p.subject.isBypassed() {
		p.notice(p.composeNotCached() + "; start the environment as if the cache did not exist")
	} else {
		p.notice("the cache is bypassed: " + next.Why)
	}
	return p.buildOnly(ctx, OutcomeBypassed, next.Why)
}

// answer waits until the status tells what to do, for as long as the request allows. The returned decision is never
// to wait.
func (p *preparation) answer(ctx context.Context, lookup *running) (*v1alpha1.DevcontainerImage, decision) {
	phase := &phase{steps: p.steps, result: p.result, step: lookup}
	deadline := time.NewTimer(p.request.LookupTimeout)
	defer deadline.Stop()
	for {
		image, deleted := p.watch.State()
		next := decide(image)
		if deleted {
			next = decision{stepBuild, "the request was deleted" + builtHere}
		}
		switch {
		case next.Step == stepAwaitBuilder && !p.request.Wait:
			next = decision{
				stepBuild,
				builderText(image.Status.Builder) + "; as requested, this environment does not wait and builds its own image",
			}
		case next.Step == stepAwaitBuilder && p.request.outlasted(image.Status.Builder):
			next = decision{
				stepBuild,
				builderText(image.Status.Builder) + "; its upload takes long, so this environment builds its own image",
			}
		case next.Step == stepAwaitBuilder && !phase.waiting:
			phase.wait(image)
			deadline.Reset(waitLimit(p.request.WaitTimeout, image.Status.Builder))
		}
		if next.Step == stepPull || next.Step == stepBuild || next.Step == stepBuildAndPublish {
			phase.end(image, next)
			return image, next
		}
		select {
		case <-ctx.Done():
			return image, phase.giveUp("interrupted")
		case <-deadline.C:
			return image, phase.giveUp(phase.lateText(next))
		case <-p.watch.Changed():
		}
	}
}

// notice emits a sentence once, and keeps it for the result.
func (p *preparation) notice(text string) {
	p.result.Notices = append(p.result.Notices, message.Redact(text))
	p.steps.notice(text)
}

// tell emits that a report could not be written. Nothing changes for the environment.
func (p *preparation) tell(_ context.Context, err error) {
	if err != nil {
		p.notice(err.Error())
	}
}

// lastReport writes a report even if the context has ended.
func (p *preparation) lastReport(ctx context.Context, report func(ctx context.Context) error) {
	ctx, cancel := lastWords(ctx)
	defer cancel()
	p.tell(ctx, report(ctx))
}

// interrupted reports whether the whole run was stopped.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }
