package devcontainerimage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/buildinfo"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/publication"
)

// sign adds the signed statement about a checked image to its manifest. Each call makes another signature, and so an
// image with another digest.
func (r *Reconciler) sign(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) (*publication.Image, error) {
	keys, err := r.Keys.Current()
	if err != nil {
		return nil, err
	}
	if !mayKnow(p.runner, keys.Signer.Key().ID) {
		return nil, outcome.Waitingf(v1alpha1.ReasonUploading, time.Second, "the status of runner %s does not show the new signing key yet", p.runner.Name)
	}
	record := r.recordOf(p, repository, built)
	signed, err := built.Sign(func(of provenance.Claims) ([]byte, error) {
		record.Config, record.Layers, record.UnsignedManifest = of.Config, of.Layers, of.UnsignedManifest
		statement, err := provenance.ForImage(record)
		if err != nil {
			return nil, err
		}
		return provenance.Sign(ctx, keys.Signer, statement)
	})
	if err != nil {
		return nil, fmt.Errorf("sign image: %w", err)
	}
	// What no lookup would take is not published. The next lookup of this process then knows the result.
	verified, err := keys.Verifier.Verify(signed.Manifest, signed.Digest, record.Claims)
	if err == nil {
		_, err = verified.Record(signed.Manifest)
	}
	if err != nil {
		return nil, fmt.Errorf("verify the signed image: %w", err)
	}
	return signed, nil
}

// mayKnow reports whether environments of a runner accept what a key signs: after a rotation, they reject its images until
// the runner's status shows it. A status without keys is one that the API server does not keep, and nobody verifies.
func mayKnow(runner *v1alpha1.RunnerImageCache, keyID string) bool {
	known := runner.Status.SigningKeys
	return len(known) == 0 || slices.ContainsFunc(known, func(key v1alpha1.SigningKey) bool { return key.ID == keyID })
}

// recordOf returns what the controller states about a checked image, less the claims about its manifest.
func (r *Reconciler) recordOf(p *pass, repository *v1alpha1.RepositoryStatus, built *publication.Image) *provenance.Record {
	record := &provenance.Record{
		Claims: provenance.Claims{
			RepositoryARN: repository.ARN, Hash: p.status.ConfigHash, HashVersion: hash.Version, Platform: p.image.Spec.Platform,
			RequestUID: string(p.image.UID),
		},
		Build: provenance.Build{
			Version: buildinfo.Version(), Cluster: r.ClusterUID, Namespace: p.image.Namespace, Project: p.project.Name, Request: p.image.Name,
			Trigger: string(p.image.Spec.Trigger), Service: p.image.Spec.Service,
			// Not p.awsNow: AWS has answered in this pass, so its clock is known now, also just after a start of the manager.
			FinishedAt: r.AWSClock.Now(),
			Stated: provenance.Stated{
				Environment: p.image.Spec.EnvironmentID, KeyCoverage: string(p.image.Spec.Build.KeyCoverage), BuildSeconds: built.BuildSeconds,
			},
		},
	}
	if builder := p.status.Builder; builder != nil && builder.StartedAt != nil {
		record.StartedAt = builder.StartedAt.Time
	}
	if source := p.status.LayersFrom; source != nil && source.LayersSince != nil {
		record.LayersSince = source.LayersSince.Time
	}
	// Images expire by AWS' clock. Where the manager's is ahead, a build must still not end before it started.
	if record.FinishedAt.Before(record.StartedAt) {
		record.FinishedAt = record.StartedAt
	}
	for _, input := range publication.OriginIn(built.Manifest).Inputs {
		record.Stated.Inputs = append(record.Stated.Inputs, provenance.Input{Name: input.Name, Digest: input.Digest})
	}
	return record
}
