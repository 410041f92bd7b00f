package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/tempfolder"
)

// buildImage runs the builder. Afterwards the environment's store has the image under the request's name.
func (p *preparation) buildImage(ctx context.Context) (time.Duration, error) {
	if p.engineErr != nil {
		return 0, p.engineErr
	}
	took, err := p.buildAlone(ctx)
	p.took = took
	if err != nil {
		return took, err
	}
	if p.runner.FindStore != nil {
		image, err := p.save(ctx)
		if err != nil {
			return took, err
		}
		if err := p.store.put(ctx, image, p.localName); err != nil {
			return took, err
		}
	}
	p.result.Image = p.store.shown(p.localName)
	return took, nil
}

// buildAlone runs the builder when no other image of the run is being built. After a build that failed it builds
// nothing more for an environment: the run ends.
func (p *preparation) buildAlone(ctx context.Context) (time.Duration, error) {
	release, err := p.holdBuilder(ctx)
	if err != nil {
		return 0, err
	}
	took, err := p.runBuilder(ctx)
	if err == nil || p.request.isPrebuild() {
		release()
	}
	return took, err
}

func (p *preparation) runBuilder(ctx context.Context) (time.Duration, error) {
	if limit := p.request.BuildTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the build took longer than %s", span(limit)))
		defer cancel()
	}
	lent := p.borrow(ctx)
	step := p.steps.start("Build", "Building with "+p.engine.Name())
	output := &outputLines{events: p.steps.events, step: step.name}
	request := builder.Request{
		Workspace:  p.subject.configuration.Workspace,
		ConfigPath: p.subject.configuration.Path,
		ImageName:  p.localName,
		Platform:   p.subject.key.Platform,
		NoCache:    p.refreshes(),
		Logs:       output,
		Compose:    p.subject.composeService(),
	}
	built, err := p.buildWith(ctx, lent, request)
	output.flush()
	if err == nil {
		step.finished("Built " + p.localName + cachedText(built.CachedSteps))
		p.cachedSteps, p.imageID = built.CachedSteps, built.ImageID
		p.result.Seconds.Build = seconds(built.Duration)
		return built.Duration, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("build dev container: %w", cause)
	}
	return step.failed("The build failed"), err
}

// buildOnly builds for this environment only, without publishing.
func (p *preparation) buildOnly(ctx context.Context, outcome Outcome, reason string) (*Result, error) {
	p.result.Outcome, p.result.Reason = outcome, message.Redact(reason)
	if p.subject.isBypassed() {
		p.usable("")
		return p.result, nil
	}
	took, err := p.buildImage(ctx)
	if err != nil {
		p.reportFailure(ctx, took, err)
		return nil, err
	}
	p.usable("")
	return p.result, nil
}

// buildWithoutKey builds a configuration whose key can't be computed. If the builder can't read the configuration
// either, the error is ours, because it names the place.
func (p *preparation) buildWithoutKey(ctx context.Context) (*Result, error) {
	why := p.subject.keyError
	if p.subject.isBypassed() {
		return p.bypassCompose(why), nil
	}
	p.notice("building the image here without the cache: " + why.Error())
	result, err := p.buildOnly(ctx, OutcomeBuilt, "KeyNotComputed: "+why.Error())
	if err != nil && !interrupted(ctx) && p.subject.configuration.Type == devcontainer.TypeUnknown {
		return nil, why
	}
	return result, err
}

// reportFailure reports to the controller that this build failed, even if this program is being stopped.
func (p *preparation) reportFailure(ctx context.Context, took time.Duration, err error) {
	if p.report == nil {
		return
	}
	message := reasonOf(err)
	if interrupted(ctx) {
		message = "interrupted"
	}
	p.lastReport(ctx, func(ctx context.Context) error { return p.report.Build(ctx, failedBuild(took, message)) })
}

// reasonOf returns the reason of a failed build, without our own prefix.
func reasonOf(err error) string {
	var failed *builder.BuildError
	if errors.As(err, &failed) {
		return failed.Message
	}
	return err.Error()
}

// formatOf returns how layers are compressed for a project. An image that is not published goes into another store of
// this machine, and every engine reads gzip.
func formatOf(layers v1alpha1.LayerCompression) compression.Format {
	if layers == v1alpha1.LayerCompressionZstd {
		return compression.Zstd
	}
	return compression.Gzip
}

// savedImage is an image that the engine wrote to files.
type savedImage struct {
	v1.Image
	folder *tempfolder.Folder
}

// save writes the built image from the engine's store to files, once.
func (p *preparation) save(ctx context.Context) (v1.Image, error) {
	if p.saved != nil {
		return p.saved, nil
	}
	folder, err := tempfolder.New(tempfolder.Layers)
	if err != nil {
		return nil, fmt.Errorf("save image: %w", err)
	}
	step := p.steps.start("Save", "Saving layers")
	image, err := p.engine.Save(
		ctx, cmp.Or(p.imageID, p.localName), folder.Path, formatOf(p.layers), func(bytes int64) { step.progress(bytes, 0) },
	)
	if err != nil {
		step.failed("Saving the layers failed")
		_ = folder.Remove()
		return nil, err
	}
	p.saved = &savedImage{image, folder}
	text, err := savedText(image)
	if err != nil {
		return nil, fmt.Errorf("save image: %w", err)
	}
	step.finished(text)
	return p.saved, nil
}

// savedText describes what was saved: as many bytes as an upload of all layers has.
func savedText(image v1.Image) (string, error) {
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	total := int64(0)
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return "", err
		}
		total += size
	}
	return fmt.Sprintf("Saved %d layers, %s", len(layers), megabytes(total)), nil
}

func (p *preparation) removeSaved() {
	if p.saved != nil {
		_ = p.saved.folder.Remove()
		p.saved = nil
	}
}
