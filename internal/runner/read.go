package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// read reads everything that is needed before anything is created: the configuration, the engine, the project.
func (p *preparation) read(ctx context.Context) error {
	configuration, err := devcontainer.Load(p.request.Workspace, p.request.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		return err // no builder can build from a file that does not exist
	}
	if err != nil {
		// The dev container CLI may accept a configuration that the cache can't read.
		p.subject.keyError = err
		if configuration, err = devcontainer.Locate(p.request.Workspace, p.request.ConfigPath); err != nil {
			return err
		}
	}
	p.subject.configuration = configuration
	p.result.Configuration = configuration
	if configuration.Type == devcontainer.TypeCompose {
		return p.readCompose(ctx)
	}

	var engineErr, projectErr error
	group := errgroup.Group{}
	group.Go(func() error { engineErr = p.findStore(ctx); return nil })
	group.Go(func() error { projectErr = p.findProject(ctx); return nil })
	_ = group.Wait()
	if engineErr != nil {
		return engineErr
	}
	if projectErr != nil {
		return projectErr
	}
	p.useProject(p.project)
	p.makeKey(ctx)
	return nil
}

// findStore finds the engine, and the image's destination. Without an engine, an image can only go to a folder, and
// only on a hit. A prebuild needs no engine on a hit either.
func (p *preparation) findStore(ctx context.Context) error {
	engine, err := p.runner.FindEngine(ctx)
	if err == nil {
		p.engine = engine
		if why := builder.PassedOver(engine); why != nil {
			p.notice(fmt.Sprintf("%s is used, and not docker: %v", engine.Name(), why))
		}
		err = engine.Ready()
	}
	if p.runner.FindStore == nil {
		p.store = EngineStore{engine}
		if p.request.isPrebuild() {
			p.engineErr = err
			return nil
		}
		return err
	}
	p.engineErr = err
	p.store, err = p.runner.FindStore(ctx)
	return err
}

func (p *preparation) findProject(ctx context.Context) error {
	if p.runner.ClusterError != nil {
		return p.runner.ClusterError
	}
	if p.request.Project == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.request.LookupTimeout)
	defer cancel()
	project, err := cluster.FindProject(ctx, p.runner.Client, p.runner.Namespace, p.request.Project)
	p.project = project
	return err
}

// useProject takes over what a project, or none, says about its images.
func (p *preparation) useProject(project *v1alpha1.ProjectImageCache) {
	p.hashOptions = hash.Options{Platform: p.request.Platform}
	if project == nil {
		return
	}
	p.result.Project, p.layers = project.Name, project.Spec.Compression
	for _, input := range project.Spec.KeyInputs {
		p.hashOptions.Inputs = append(p.hashOptions.Inputs, string(input))
	}
}

// makeKey computes the hash, with the project's key inputs. If it can't, the subject's keyError tells why.
func (p *preparation) makeKey(ctx context.Context) {
	key := &hash.Key{Platform: p.request.Platform}
	if p.subject.keyError == nil {
		computed, err := p.subject.computeKey(ctx, p.hashOptions)
		if err == nil {
			key = computed
		}
		p.subject.keyError = err
	}
	p.subject.key, p.coverage = key, keyCoverage(key)
	p.localName = p.request.localName(p.subject)
	p.result.Platform, p.result.Warnings = key.Platform, key.Warnings
	if !p.subject.isBypassed() {
		p.result.Hash = key.Hash
	}
}

// subjectText describes the configuration that was read, with the hash of each image.
func (p *preparation) subjectText() string {
	if p.subject.configuration.Type == devcontainer.TypeUnknown {
		return "Found " + p.subject.configuration.Path
	}
	text := fmt.Sprintf("Read %s (%s)", p.subject.configuration.Path, p.subject.configuration.Type)
	switch {
	case p.subject.keyError != nil:
		return text
	case len(p.images) > 0:
		return text + p.servicesText()
	case p.subject.isBypassed():
		return text
	}
	return fmt.Sprintf("%s, hash %s, %s", text, p.subject.key.Hash[:12], p.subject.key.Platform) +
		notCoveredText(len(p.subject.key.Warnings))
}

// notCoveredText tells that keys don't cover some of what builds read.
func notCoveredText(warnings int) string {
	if warnings == 0 {
		return ""
	}
	return fmt.Sprintf("; not in the hash: %d, see imagecache hash --explain", warnings)
}
