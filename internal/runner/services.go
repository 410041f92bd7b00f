package runner

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/message"
)

// readCompose reads what a Docker Compose configuration needs: the project, and where it caches such configurations the
// engine and the services.
func (p *preparation) readCompose(ctx context.Context) error {
	if err := p.findProject(ctx); err != nil {
		return err
	}
	p.useProject(p.project)
	if !p.cachesCompose() {
		p.makeKey(ctx)
		return nil
	}
	err := p.findStore(ctx)
	if err == nil {
		err = p.readServices(ctx)
	}
	if err != nil {
		p.subject.keyError, p.images = err, nil
	}
	p.makeKey(ctx)
	return nil
}

// cachesCompose reports whether the project caches Docker Compose configurations.
func (p *preparation) cachesCompose() bool {
	return p.project != nil && p.project.Spec.Compose == v1alpha1.ComposePolicyCached
}

// composeNotCached is the sentence that names the setting.
func (p *preparation) composeNotCached() string {
	const text = "Docker Compose configurations are not cached"
	if p.project == nil {
		return text
	}
	return fmt.Sprintf(
		"%s in project %s, whose spec.compose is not %s", text, p.project.Name, v1alpha1.ComposePolicyCached,
	)
}

// readServices plans an image for each service that is built.
func (p *preparation) readServices(ctx context.Context) error {
	project, err := loadProject(ctx, p.subject.configuration)
	if err != nil {
		return err
	}
	p.subject.project = project
	for i := range project.Services {
		image := p.forService(project, &project.Services[i])
		if image.makeKey(ctx); image.subject.keyError != nil {
			return fmt.Errorf("service %s: %w", project.Services[i].Name, image.subject.keyError)
		}
		p.images = append(p.images, image)
	}
	return p.composeReady(ctx, p.images[0].subject.key.Platform)
}

// composeReady reports why the engine can't build or start services. Images that only go to another place, or nowhere,
// need the engine on a miss alone; the build then reports it.
func (p *preparation) composeReady(ctx context.Context, platform string) error {
	if p.engine == nil || p.runner.FindStore != nil || p.request.isPrebuild() {
		return nil
	}
	return builder.ComposeReady(ctx, p.engine, platform)
}

// forService begins the preparation of a service's image.
func (p *preparation) forService(project *compose.Project, service *compose.Service) *preparation {
	return &preparation{
		basis: p.basis, of: p, steps: steps{serviceEvents{p.steps.events, service.Name}},
		subject: subject{configuration: p.subject.configuration, project: project, service: service},
		result: &Result{
			Service: service.Name, Environment: p.result.Environment, Project: p.result.Project,
			Configuration: p.result.Configuration, Compose: project,
		},
	}
}

// parent returns the preparation of the whole configuration.
func (p *preparation) parent() *preparation { return cmp.Or(p.of, p) }

// servicesText names the services, with their hashes.
func (p *preparation) servicesText() string {
	warnings := 0
	names := make([]string, 0, len(p.images))
	for _, image := range p.images {
		names = append(names, image.result.Service+" hash "+image.subject.key.Hash[:12])
		warnings += len(image.subject.key.Warnings)
	}
	text := ", " + strings.Join(names, ", ") + ", " + p.images[0].subject.key.Platform
	if images := p.subject.project.Images; len(images) > 0 {
		text += "; not cached, because they have an image: " + strings.Join(images, ", ")
	}
	return text + notCoveredText(warnings)
}

// bypassCompose ends a run whose services can't be cached: the environment is started as if the cache did not exist.
func (p *preparation) bypassCompose(why error) *Result {
	p.notice(
		"the services' images are not cached, and the environment starts as if the cache did not exist: " + why.Error(),
	)
	p.result.Outcome, p.result.Reason = OutcomeBypassed, message.Redact("KeyNotComputed: "+why.Error())
	p.usable("")
	return p.result
}

// serviceEvents are the events of one service's image.
type serviceEvents struct {
	to      Events
	service string
}

// Emit passes an event on.
func (s serviceEvents) Emit(event Event) {
	event.Service = s.service
	s.to.Emit(event)
}
