package devcontainerimage

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/publication"
)

// explanationPatience is how long an answer waits for its explanation. A slower read continues and explains the next
// miss.
const explanationPatience = time.Second

// explain adds to a miss the differences from the nearest cached image. It compares with the images in the
// repository, or, if they can't be read now, with the images that the project's requests report as published. A miss
// is valid without an explanation.
func (r *Reconciler) explain(ctx context.Context, p *pass, decided *answer) error {
	asked := r.originOf(ctx, p)
	if len(asked.Inputs) == 0 {
		return nil
	}
	cached, err := r.cachedImages(ctx, p)
	if err != nil {
		return err
	}
	if why := nearest(asked, cached, policyOf(p.project), p.awsNow); why != "" {
		decided.explanation = why
	}
	return nil
}

// originOf returns the origin of the request's image. Inputs only explain and estimate: if they are not remembered and
// can't be read soon, the origin has none. A pass tries once.
func (r *Reconciler) originOf(ctx context.Context, p *pass) publication.Origin {
	if p.origin != nil {
		return *p.origin
	}
	known := p.inputs
	if known == nil {
		patient, cancel := context.WithTimeout(ctx, explanationPatience)
		defer cancel()
		var err error
		if known, err = r.Inputs.Of(patient, r.Live, p.image); err != nil {
			log.FromContext(ctx).V(1).Info("Continued without the request's inputs", "configHash", p.status.ConfigHash, "why", err.Error())
		}
	}
	origin := imageOrigin(p.image, known)
	origin.Hash = p.status.ConfigHash
	p.origin = &origin
	return origin
}

// cachedImages returns the newest images of the request's project, with their origins.
func (r *Reconciler) cachedImages(ctx context.Context, p *pass) ([]publication.Stored, error) {
	images, err := r.images(ctx, p)
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, explanationPatience)
	defer cancel()
	recent, err := images.Recent(patient, p.project.Status.Repository.Name)
	if err == nil && !slices.ContainsFunc(recent, hasNoInputs) {
		return recent, nil
	}
	requests, listErr := r.requestsOf(ctx, p.image, indexes.PublishedProject, p.image.Spec.ProjectRef.Name)
	if listErr != nil {
		return nil, listErr
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("Explained without the repository", "configHash", p.status.ConfigHash, "why", err.Error())
		return toldBy(requests), nil
	}
	return withRequests(recent, toldBy(requests)), nil
}

// annotate writes the image's origin into the manifest of a reported image. The origin comes from the request, not
// from the build's report. whole is the request with its inline contents, which the cache does not keep.
func annotate(p *pass, whole *v1alpha1.DevcontainerImage, built *publication.Image) (*publication.Image, error) {
	var computed []publication.Input
	if contents := whole.Spec.Configuration; contents != nil {
		// The error would have occurred when the request was answered.
		if key, err := hash.FromContents([]byte(contents.DevcontainerJSON), dockerfileOf(contents), whole.Spec.Platform); err == nil {
			computed = inputsOfKey(key)
		}
	}
	origin := imageOrigin(whole, computed)
	origin.Hash, origin.BuildSeconds = p.status.ConfigHash, built.BuildSeconds
	return built.Annotate(origin)
}
