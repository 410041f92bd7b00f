package page

import (
	"fmt"
	"net/http"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/display"
)

// confirmBody asks whether to do something, and tells what follows.
type confirmBody struct {
	Question string
	Follows  []string
	// Action is where the form goes, and Value what it carries.
	Action, Button, Back string
	Value                string
	Able                 ability
	// Choose is a time that can be changed before, for an invalidation.
	Choose string
}

func (p *Pages) confirmEviction(v *visit) error {
	project, image, err := p.imageOf(v)
	if err != nil {
		return err
	}
	able, err := p.may(v, patchProject(project))
	if err != nil {
		return err
	}
	at := p.Base + "images/" + project.Namespace + "/" + project.Name
	p.render(v, http.StatusOK, "confirm", frame{Title: "Evict an image", Active: "images", Body: confirmBody{
		Question: fmt.Sprintf("Remove the image of hash %s from the cache of project %s?", short(image.Hash), project.Name),
		Follows:  evictionFollows(image), Able: able,
		Action: at + "/" + image.Hash + "/evict", Button: "Evict the image", Back: at + "/" + image.Hash,
	}})
	return nil
}

// evictionFollows tells what an eviction leads to.
func evictionFollows(image *catalog.Image) []string {
	again := "The next environment with this configuration builds it again, and publishes it."
	if image.BuildSeconds != nil {
		again = "The next environment with this configuration builds it again, which took " +
			display.Seconds(image.BuildSeconds) + ", and publishes it."
	}
	return []string{
		"The manager removes the image from the repository within seconds.", again,
		"Environments that run already keep what they pulled.",
		fmt.Sprintf("Of the requests that the cluster still has, %d pulled it.", image.Pulls),
	}
}

func (p *Pages) evict(v *visit) error {
	project, image, err := p.imageOf(v)
	if err != nil {
		return err
	}
	if err := p.demand(v, patchProject(project)); err != nil {
		return err
	}
	if err := cluster.Evict(v.Context(), v.viewer.Client(), project.DeepCopy(), image.Hash); err != nil {
		return err
	}
	p.images.moves(project, v.now)
	p.leave(v, "images/"+project.Namespace+"/"+project.Name, "evicted")
	return nil
}

// leave leads to a page that tells what was done.
func (p *Pages) leave(v *visit, page, word string) {
	http.Redirect(v.w, v.Request, p.Base+page+"?done="+word, http.StatusSeeOther)
}

// minute is the form of a time in a form's field, in UTC.
const minute = "2006-01-02T15:04"

// beforeOf returns the time of an invalidation's form, by default now.
func beforeOf(v *visit, project *v1alpha1.ProjectImageCache) (time.Time, error) {
	text := v.FormValue("before")
	if text == "" {
		return v.now.UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if at, err = time.Parse(minute, text); err != nil {
			return time.Time{}, &inputError{fmt.Sprintf("%q is not a time such as 2026-01-31T12:00", text)}
		}
	}
	earlier := project.Spec.InvalidatePushedBefore
	switch {
	case at.After(v.now.Add(time.Minute)):
		return at, &inputError{"the time lies in the future: images that are published until then would never be hits"}
	case earlier != nil && at.Before(earlier.Time):
		return at, &inputError{"images before " + earlier.UTC().Format(time.RFC3339) +
			" are invalid already, and an earlier time brings none of them back"}
	}
	return at, nil
}

func (p *Pages) confirmInvalidation(v *visit) error {
	project, err := p.listable(v)
	if err != nil {
		return err
	}
	able, err := p.may(v, patchProject(project))
	if err != nil {
		return err
	}
	before, err := beforeOf(v, project)
	if err != nil {
		return err
	}
	found, err := p.images.read(v.Context(), v, project, !p.AWS)
	if err != nil {
		return err
	}
	older := 0
	for i := range found.images {
		older += count(found.images[i].PushedAt != nil && found.images[i].PushedAt.Before(before))
	}
	at := p.Base + "images/" + project.Namespace + "/" + project.Name
	p.render(v, http.StatusOK, "confirm", frame{Title: "Invalidate older images", Active: "images", Body: confirmBody{
		Question: fmt.Sprintf("Invalidate the images of project %s that were published before %s?", project.Name,
			before.UTC().Format("2006-01-02 15:04:05 UTC")),
		Follows: []string{
			fmt.Sprintf("%d of the %d known images count as absent at once, and the manager removes them.", older,
				len(found.images)),
			"The next environment of each configuration builds its image again.",
			"Use it for a vulnerability or a bad base image. It can't be undone: what was removed is built again.",
		},
		Action: at + "/invalidate", Button: "Invalidate them", Back: at, Able: able,
		Value: before.UTC().Format(time.RFC3339), Choose: before.UTC().Format(minute),
	}})
	return nil
}

func (p *Pages) invalidate(v *visit) error {
	project, err := p.projectOf(v)
	if err != nil {
		return err
	}
	if err := p.demand(v, patchProject(project)); err != nil {
		return err
	}
	before, err := beforeOf(v, project)
	if err != nil {
		return err
	}
	if err := cluster.Invalidate(v.Context(), v.viewer.Client(), project, before); err != nil {
		return err
	}
	p.images.moves(project, v.now)
	p.leave(v, "images/"+project.Namespace+"/"+project.Name, "invalidated")
	return nil
}

// renewalBody tells how an image is built anew while the old one is in use.
type renewalBody struct {
	Project *v1alpha1.ProjectImageCache
	Image   *catalog.Image
	Refresh ability
	Back    string
}

func (p *Pages) renewal(v *visit) error {
	project, image, err := p.imageOf(v)
	if err != nil {
		return err
	}
	able, err := p.may(v, access.Right{
		Verb: "refresh", Resource: access.Projects, Namespace: project.Namespace, Name: project.Name,
	})
	if err != nil {
		return err
	}
	p.render(v, http.StatusOK, "renewal", frame{Title: "Refresh an image", Active: "images", Body: renewalBody{
		Project: project, Image: image, Refresh: able,
		Back: p.Base + "images/" + project.Namespace + "/" + project.Name + "/" + image.Hash,
	}})
	return nil
}
