package devcontainerimage

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/publication"
)

// layersPatience is how long a builder's answer waits for the search of an image to take layers from.
const layersPatience = 2 * time.Second

// offerLayers names the image from which a new builder may take layers over. A build without one is only slower, so
// nothing that fails here holds it up.
func (r *Reconciler) offerLayers(ctx context.Context, p *pass) {
	if reuseOf(p.project, p.image) == v1alpha1.LayerReuseOff || p.image.Spec.CachePolicy == v1alpha1.CachePolicyRefresh {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, layersPatience)
	defer cancel()
	source, err := r.layerSource(ctx, p)
	if err != nil {
		log.FromContext(ctx).V(1).Info("Offered no layers", "configHash", p.status.ConfigHash, "why", err.Error())
	}
	p.status.LayersFrom = source
}

// layerSource returns the most similar image that a known key signed and whose layers may be taken over, or nil.
func (r *Reconciler) layerSource(ctx context.Context, p *pass) (*v1alpha1.LayerSource, error) {
	asked := r.originOf(ctx, p)
	if len(asked.Inputs) == 0 {
		return nil, nil // nothing tells which image is similar
	}
	cached, err := r.cachedImages(ctx, p)
	if err != nil {
		return nil, err
	}
	images, err := r.images(ctx, p)
	if err != nil {
		return nil, err
	}
	keys, err := r.Keys.Current()
	if err != nil {
		return nil, err
	}
	reuse, policy := reuseOf(p.project, p.image), policyOf(p.project)
	for _, candidate := range layerSources(asked, cached, reuse, policy, p.awsNow) {
		found, err := images.Find(ctx, p.project.Status.Repository.Name, candidate.Origin.Hash)
		if err != nil {
			return nil, err
		}
		if found == nil || found.Archived {
			continue
		}
		want := p.expectation()
		want.Hash, want.HashVersion = candidate.Origin.Hash, candidate.Origin.HashVersion
		verified, err := keys.Verifier.Verify(found.Manifest, found.Digest, publication.ClaimsFor(want, ""))
		if err != nil || !lendsLayers(reuse, verified.Brief.Trigger) {
			continue
		}
		since := verified.Brief.OldestLayer()
		published := publication.PublishedAt(found.PushedAt, verified.Brief)
		if outlived(since, policy, p.awsNow) || policy.Judge(published, p.awsNow) != publication.Usable {
			continue
		}
		return &v1alpha1.LayerSource{
			Reference: p.status.RepositoryURI + "@" + found.Digest, ConfigHash: candidate.Origin.Hash,
			SecretName: projects.PullSecretName(p.project), LayersSince: metaTime(since),
		}, nil
	}
	return nil, nil
}
