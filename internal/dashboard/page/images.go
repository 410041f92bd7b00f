package page

import (
	"net/http"
	"slices"
	"strings"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/display"
)

// projectsBody lists the projects, to choose one.
type projectsBody struct {
	List                 excerpt[catalog.Project]
	Images, Stored, Cost string
}

func (p *Pages) projects(v *visit) error {
	projects, _, err := p.seen(v)
	if err != nil {
		return err
	}
	f := filterOf(v.URL.Query())
	shown := make([]catalog.Project, 0, len(projects))
	for _, project := range projects {
		if f.matches(project.Name, project.Namespace, project.Spec.ProjectID) {
			shown = append(shown, catalog.NewProject(project))
		}
	}
	body := projectsBody{List: cut(shown, f)}
	body.List.Placeholder, body.List.What = "project or namespace", "projects"
	p.render(v, http.StatusOK, "projects", frame{
		Title: "What is in there?", Active: "images", Live: "objects", Body: body,
	})
	return nil
}

// imagesBody lists the images of one project.
type imagesBody struct {
	Project *v1alpha1.ProjectImageCache
	// Reading: the list is read from AWS when the page asks again.
	Reading    bool
	Address    string
	Notice     string
	List       excerpt[row]
	Invalidate ability
}

// row is one image of a list.
type row struct {
	catalog.Image
	Due, Evicted, Invalid      bool
	Size, Expires, Pulled, Age string
	Built, By                  string
}

func (p *Pages) imagesOf(v *visit) error {
	project, err := p.listable(v)
	if err != nil {
		return err
	}
	body := imagesBody{Project: project}
	body.Invalidate, err = p.may(v, patchProject(project))
	if err != nil {
		return err
	}
	found, known := p.images.peek(keyFor(v, project), v.now)
	if !known && p.AWS && v.URL.Query().Get("wait") == "" {
		query := v.URL.Query()
		query.Set("wait", "1")
		body.Reading, body.Address = true, addressOf(p.Base+strings.TrimPrefix(v.URL.Path, "/"), query)
	} else if !known {
		if found, err = p.images.read(v.Context(), v, project, !p.AWS); err != nil {
			return err
		}
	}
	body.Notice = found.notice
	if !p.AWS && found.notice == "" {
		body.Notice = "These are the images of the requests that the cluster still has; imagecache images lists those in ECR."
	}
	f := filterOf(v.URL.Query())
	evicted := cluster.Evictions(project)
	if len(evicted) > 0 {
		p.images.moves(project, v.now)
	}
	var shown []row
	for _, image := range found.images {
		made := rowOf(v, project, image, evicted)
		if f.matches(image.Hash, image.Environment, image.Digest) && (f.Pick != "due" || made.Due) {
			shown = append(shown, made)
		}
	}
	body.List = cut(shown, f)
	body.List.Placeholder, body.List.What = "hash or environment", "images"
	body.List.Choices = []choice{{"", "all"}, {"due", "that are due"}}
	p.render(v, http.StatusOK, "images", frame{
		Title: "What is in " + project.Name + "?", Active: "images", Live: "objects", Body: body,
	})
	return nil
}

func rowOf(v *visit, project *v1alpha1.ProjectImageCache, image catalog.Image, evicted []string) row {
	made := row{
		Image: image, Due: image.IsDue(v.now), Evicted: slices.Contains(evicted, image.Hash),
		Size: display.Size(image.SizeBytes), Age: display.Age(image.PushedAt, v.now),
		Expires: display.Until(image.ExpiresAt, v.now), Pulled: "never", Built: display.Seconds(image.BuildSeconds),
		By: display.Or(image.Environment, display.Unknown),
	}
	if image.LastPulledAt != nil {
		made.Pulled = display.Age(image.LastPulledAt, v.now) + " ago"
	}
	if image.Archived {
		made.Expires = "archived"
	}
	before := project.Spec.InvalidatePushedBefore
	made.Invalid = before != nil && image.PushedAt != nil && image.PushedAt.Before(before.Time)
	return made
}

// listable returns the project that the address names, if the viewer may read it and the requests of its namespace,
// from which the list of images is made. The list may come from memory, so the cluster would not refuse.
func (p *Pages) listable(v *visit) (*v1alpha1.ProjectImageCache, error) {
	project, err := p.projectOf(v)
	if err != nil {
		return nil, err
	}
	return project, insist(v, listRequests(project.Namespace))
}

// projectOf returns the project that the address names, if the viewer may read it.
func (p *Pages) projectOf(v *visit) (*v1alpha1.ProjectImageCache, error) {
	namespace, name := v.PathValue("namespace"), v.PathValue("project")
	if err := p.mayRead(v, access.Projects, namespace, name); err != nil {
		return nil, err
	}
	project, found := p.Store.Projects.Get(namespace, name)
	if !found {
		return nil, &absentError{"no project " + name + " exists in namespace " + namespace}
	}
	return project, nil
}

func patchProject(project *v1alpha1.ProjectImageCache) access.Right {
	return access.Right{Verb: "patch", Resource: access.Projects, Namespace: project.Namespace, Name: project.Name}
}
