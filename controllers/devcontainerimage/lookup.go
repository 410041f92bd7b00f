package devcontainerimage

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/publication"
)

// bypass ends a request that can't use the cache, as far as the request tells, and for a service its project. It waits for
// neither project nor runner.
func (r *Reconciler) bypass(ctx context.Context, p *pass) (ending, error) {
	if p.status.CacheResult == "" {
		project, err := r.projectOfService(ctx, p)
		if err != nil {
			return ending{}, err
		}
		if reason, explanation, bypassed := bypass(&p.image.Spec, project, nil); bypassed {
			p.latch(answer{result: v1alpha1.CacheBypassed, reason: reason, explanation: explanation}, nil)
		}
	}
	if p.status.CacheResult != v1alpha1.CacheBypassed {
		return ending{}, nil
	}
	return finished(v1alpha1.ReasonBypassed, p.status.Explanation), nil
}

// answer decides once between hit and miss, or bypassed if the request's runner can't use the cache.
func (r *Reconciler) answer(ctx context.Context, p *pass) (ending, error) {
	if p.status.CacheResult != "" {
		return ending{}, nil
	}
	if reason, explanation, bypassed := bypass(&p.image.Spec, p.project, p.runner); bypassed {
		p.latch(answer{result: v1alpha1.CacheBypassed, reason: reason, explanation: explanation}, nil)
		return finished(v1alpha1.ReasonBypassed, p.status.Explanation), nil
	}
	if end, err := r.hash(ctx, p); err != nil || end.final {
		return end, err
	}
	repository, err := projects.ClosedRepositoryOf(p.project)
	if err != nil {
		return ending{}, err
	}
	keys, err := r.Keys.Current()
	if err != nil {
		return ending{}, err
	}
	before, err := r.leases.cached(ctx, p.image.Namespace, buildLeaseName(repository.Name, p.status.ConfigHash))
	if err != nil {
		return ending{}, err
	}
	found, err := r.find(ctx, p, repository)
	if err != nil {
		return ending{}, err
	}
	if (found == nil || found.ConfigErr != nil) && p.image.Spec.CachePolicy != v1alpha1.CachePolicyRefresh {
		if err := r.awaitReplacement(ctx, p, before); err != nil {
			return ending{}, err
		}
	}
	decided := answerFor(&p.image.Spec, p.expectation(), policyOf(p.project), keys.Verifier, cachedOf(found), p.awsNow)
	if decided.reason == v1alpha1.ReasonImageNotFound {
		if err := r.explain(ctx, p, &decided); err != nil {
			return ending{}, err
		}
	}
	p.latch(decided, found)
	log.FromContext(ctx).V(1).Info("Answered", "result", decided.result, "reason", decided.reason, "configHash", p.status.ConfigHash)
	return ending{}, nil
}

// serve ends a hit when credentials to pull its image exist.
func (r *Reconciler) serve(_ context.Context, p *pass) (ending, error) {
	if p.status.CacheResult != v1alpha1.CacheHit {
		return ending{}, nil
	}
	return p.handOver(v1alpha1.ReasonHit, p.status.Explanation)
}

// find looks up the image of the request's hash in the repository. If it can't read the whole image for a reason that
// may pass, it returns an error: neither a hit nor a miss.
func (r *Reconciler) find(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus) (*ecr.Image, error) {
	images, err := r.images(ctx, p)
	if err != nil {
		return nil, err
	}
	began := r.Clock.Now()
	found, err := images.Find(ctx, repository.Name, p.status.ConfigHash)
	if err != nil {
		err = fmt.Errorf("look up image: %w", err)
	} else if found != nil && found.ConfigErr != nil && aws.ClassOf(found.ConfigErr) != aws.ClassNotFound {
		found, err = nil, fmt.Errorf("read image: %w", found.ConfigErr)
	}
	metric.LookupSeconds.WithLabelValues(lookupOutcome(found, err)).Observe(r.Clock.Since(began).Seconds())
	return found, err
}

func lookupOutcome(found *ecr.Image, err error) string {
	switch {
	case err != nil:
		return metric.LookupFailed
	case found == nil:
		return metric.LookupAbsent
	}
	return metric.LookupFound
}

// latch copies an answer into the status.
func (p *pass) latch(a answer, found *ecr.Image) {
	p.status.CacheResult, p.status.Reason, p.status.Explanation = a.result, a.reason, conditions.Shorten(a.explanation)
	p.status.ReplacesDigest = a.replaces
	if p.project != nil && p.project.Status.Repository != nil {
		p.status.RepositoryURI = p.project.Status.Repository.URI
	}
	if a.result == v1alpha1.CacheHit {
		p.status.Image = p.cachedImage(found, a.about.BuildSeconds)
	}
}

// hash finds the request's hash, or computes it from inline contents. It ends a request whose hash can't be computed.
func (r *Reconciler) hash(ctx context.Context, p *pass) (ending, error) {
	if p.status.ConfigHash != "" {
		return ending{}, nil
	}
	if p.image.Spec.ConfigHash != "" {
		p.status.ConfigHash = p.image.Spec.ConfigHash
		return ending{}, nil
	}
	if len(p.project.Spec.KeyInputs) > 0 {
		return failed(v1alpha1.ReasonKeyInputsNeedWorkspace, fmt.Sprintf("the keyInputs of project %s need the workspace; send configHash instead of configuration, as imagecache prepare does", p.project.Name)), nil
	}
	whole := &v1alpha1.DevcontainerImage{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(p.image), whole); err != nil {
		return ending{}, fmt.Errorf("read inline configuration: %w", err)
	}
	contents := whole.Spec.Configuration
	key, err := hash.FromContents([]byte(contents.DevcontainerJSON), dockerfileOf(contents), p.image.Spec.Platform)
	if err != nil {
		return ending{}, fmt.Errorf("compute hash: %w", err)
	}
	p.status.ConfigHash, p.inputs = key.Hash, inputsOfKey(key)
	return ending{}, nil
}

// dockerfileOf returns the contents of an inline Dockerfile, or nil if there is none.
func dockerfileOf(contents *v1alpha1.InlineConfiguration) []byte {
	if contents.Dockerfile == "" {
		return nil
	}
	return []byte(contents.Dockerfile)
}

// requestsOf lists the requests of the namespace that an index holds under a value. The result is read-only; see
// indexes.Requests.
func (r *Reconciler) requestsOf(ctx context.Context, image *v1alpha1.DevcontainerImage, index, value string) ([]v1alpha1.DevcontainerImage, error) {
	return indexes.Requests(ctx, r.Client, image.Namespace, index, value)
}

// expectation returns what an image of the request's hash must be.
func (p *pass) expectation() publication.Expectation {
	want := publication.Expectation{
		Hash:        p.status.ConfigHash,
		HashVersion: hash.Version,
		UID:         string(p.image.UID),
		Platform:    p.image.Spec.Platform,
	}
	if repository := p.project.Status.Repository; repository != nil {
		want.RepositoryARN = repository.ARN
	}
	return want
}

// cachedImage returns the status's description of an image of the repository.
func (p *pass) cachedImage(found *ecr.Image, buildSeconds int64) *v1alpha1.CachedImage {
	image := &v1alpha1.CachedImage{
		Reference:    p.status.RepositoryURI + "@" + found.Digest,
		Digest:       found.Digest,
		SizeBytes:    &found.SizeBytes,
		BuildSeconds: &buildSeconds,
	}
	if !found.PushedAt.IsZero() {
		image.PushedAt = metaTime(found.PushedAt)
		image.ExpiresAt = metaTime(found.PushedAt.Add(p.project.Spec.Retention()))
	}
	return image
}

func cachedOf(found *ecr.Image) *publication.Cached {
	if found == nil {
		return nil
	}
	return &publication.Cached{Digest: found.Digest, Manifest: found.Manifest, Config: found.Config, PushedAt: found.PushedAt, Archived: found.Archived}
}
