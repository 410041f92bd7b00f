package page

import (
	"context"
	"net/http"
	"slices"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/inspect"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/provenance"
)

// readTimeout bounds the reading of one image from the registry.
const readTimeout = 10 * time.Second

// imageBody shows one image: who built it from what, as its signed statement tells.
type imageBody struct {
	Project      *v1alpha1.ProjectImageCache
	Image        row
	Verified     *provenance.Record
	Key, Problem string
	Evict        ability
}

func (p *Pages) image(v *visit) error {
	project, image, err := p.imageOf(v)
	if err != nil {
		return err
	}
	body := imageBody{Project: project, Image: rowOf(v, project, *image, cluster.Evictions(project))}
	if body.Evict, err = p.may(v, patchProject(project)); err != nil {
		return err
	}
	p.verify(v, &body)
	p.render(v, http.StatusOK, "image", frame{
		Title: "Image " + short(image.Hash), Active: "images", Live: "objects", Body: body,
	})
	return nil
}

// verify reads the image's signed statement, as `imagecache verify` does.
func (p *Pages) verify(v *visit, body *imageBody) {
	right := access.Right{Verb: "get", Resource: access.Secrets, Namespace: body.Project.Namespace}
	if credentials := body.Project.Status.PullCredentials; credentials != nil {
		right.Name = credentials.SecretName
	}
	if may, err := v.viewer.May(v.Context(), right); err != nil || !may {
		body.Problem = "The statement can't be read: you may not " + right.String() + ", where the pull credentials are."
		return
	}
	ctx, cancel := context.WithTimeout(v.Context(), readTimeout)
	defer cancel()
	signature, err := inspect.SignatureOf(ctx, v.viewer.Client(), body.Project, body.Image.Hash)
	switch {
	case err != nil:
		body.Problem = "The statement can't be read: " + message.Sentence(cluster.Describe(err).Error())
	case signature.Problem != nil:
		body.Problem = "The signature does not hold: " + message.Sentence(signature.Problem.Error())
	default:
		body.Verified, body.Key = signature.Record, provenance.ShortID(signature.KeyID)
	}
}

// imageOf returns the image that the address names.
func (p *Pages) imageOf(v *visit) (*v1alpha1.ProjectImageCache, *catalog.Image, error) {
	project, err := p.listable(v)
	if err != nil {
		return nil, nil, err
	}
	found, err := p.images.read(v.Context(), v, project, !p.AWS)
	if err != nil {
		return nil, nil, err
	}
	wanted := v.PathValue("hash")
	i := slices.IndexFunc(found.images, func(image catalog.Image) bool { return image.Hash == wanted })
	if i < 0 {
		return nil, nil, &absentError{"project " + project.Name + " has no image of hash " + short(wanted)}
	}
	return project, &found.images[i], nil
}
