package compose

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// Load reads the project of a configuration of devcontainer.TypeCompose, whose workspace it needs. lookupEnv answers
// for variables of the machine. An error says in one sentence what to mend.
func Load(ctx context.Context, c *devcontainer.Configuration, lookupEnv func(string) (string, bool)) (*Project, error) {
	switch {
	case c.Type != devcontainer.TypeCompose:
		return nil, fmt.Errorf("read Compose files: %s names none", c.Path)
	case c.Workspace == "":
		return nil, errors.New("read Compose files: they are in a workspace, and there is none")
	case c.Service == "":
		return nil, fmt.Errorf(
			"read Compose files: %s names no service; set \"service\" to the one that is the dev container", c.Path,
		)
	}
	mirror, err := newMirror(c.Workspace, lookupEnv)
	if err != nil {
		return nil, fmt.Errorf("read Compose files: %w", err)
	}
	defer mirror.close()
	r := &reading{configuration: c, lookupEnv: lookupEnv, mirror: mirror, guard: &guard{mirror: mirror}}
	return r.project(ctx)
}

func (r *reading) project(ctx context.Context) (*Project, error) {
	var err error
	if r.places, err = placesOf(r.mirror.root, r.configuration, r.lookupEnv); err != nil {
		return nil, err
	}
	for _, name := range r.places.files {
		if err := r.mirror.takeFirst(name, r.configuration.Path, path.Dir(r.places.files[0])); err != nil {
			return nil, err
		}
	}
	if r.places.env != "" {
		if err := r.mirror.takeEnv(r.places.env); err != nil {
			return nil, err
		}
	}
	written := r.written(ctx) // first: it validates nothing, and finds most files
	resolved, err := r.resolved(ctx)
	if err != nil {
		return nil, r.describe(err)
	}
	started, err := r.started(resolved)
	if err != nil {
		return nil, err
	}
	models := models{written: written}
	if written == nil {
		models.interpolated = r.interpolated(ctx)
	}
	models.committed = r.committed(ctx)
	r.sort()
	return r.services(started, models)
}

// sort brings what compose-go found in an order that differs between its readings into one.
func (r *reading) sort() {
	first := len(slices.Compact(slices.Sorted(slices.Values(r.places.files))))
	slices.SortFunc(r.mirror.files[first:], func(a, b hash.ComposeFile) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(r.guard.remotes)
}

// started returns the services that the reference CLI starts: all, or those of runServices; the dev container's; and
// what these need.
func (r *reading) started(project *types.Project) (types.Services, error) {
	c := r.configuration
	names := slices.Clone(c.RunServices)
	if len(names) == 0 {
		names = project.ServiceNames()
	}
	if !slices.Contains(names, c.Service) {
		names = append(names, c.Service)
	}
	known := project.AllServices()
	for _, name := range names {
		if _, found := known[name]; !found {
			return nil, fmt.Errorf(
				"read Compose files: %s names the service %s, which is in none of the files; they have %s", c.Path, name,
				listOf(sortedKeys(known)),
			)
		}
	}
	project, err := project.WithServicesEnabled(names...)
	if err == nil {
		project, err = project.WithSelectedServices(names)
	}
	if err != nil {
		return nil, r.describe(err)
	}
	return project.Services, nil
}

// listOf names at most ten services.
func listOf(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "no service"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// named reports whether a file gives the project its name.
func (r *reading) named() bool {
	for _, name := range r.places.files {
		var document struct {
			Name string `yaml:"name"`
		}
		if err := yaml.Unmarshal(r.mirror.files[r.mirror.index(name)].Raw, &document); err == nil && document.Name != "" {
			return true
		}
	}
	return false
}

// models are the project in other readings than Docker Compose's. Each is nil where the project can't be read so.
type models struct {
	committed             *types.Project
	written, interpolated map[string]any
}

func (m models) committedService(name string) (service types.ServiceConfig, found bool) {
	if m.committed != nil {
		service, found = m.committed.AllServices()[name]
	}
	return service, found
}

// services describes what was started.
func (r *reading) services(started types.Services, models models) (*Project, error) {
	project := &Project{
		Name: r.name, Called: slices.Clone(r.places.files), EnvFile: r.places.namedEnv, Files: r.mirror.files,
	}
	for _, name := range sortedKeys(started) {
		service := started[name]
		switch {
		case name != r.configuration.Service && service.Build == nil:
			project.Images = append(project.Images, name)
			continue
		case name == r.configuration.Service && service.Build == nil && service.Image == "":
			return nil, fmt.Errorf("read Compose files: the service %s has neither an image nor a build", name)
		}
		d := description{reading: r, service: service, devContainer: name == r.configuration.Service}
		described, err := d.describe(models)
		if err != nil {
			return nil, fmt.Errorf("read Compose files: service %s: %w", name, err)
		}
		if d.devContainer {
			project.Services = slices.Insert(project.Services, 0, *described)
		} else {
			project.Services = append(project.Services, *described)
		}
	}
	return project, nil
}

// local makes a path that compose-go made absolute relative to the workspace.
func (r *reading) local(name string) string {
	if !filepath.IsAbs(name) {
		return name
	}
	return r.mirror.relative(name)
}
