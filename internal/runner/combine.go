package runner

import (
	"slices"

	"imagecache.dev/api/v1alpha1"
)

// combinedOutcomes are the outcomes of a run with several images, from the one that counts most: it is the run's if any
// image has it.
var combinedOutcomes = []Outcome{
	OutcomeBuilt, OutcomeBypassed, OutcomePublishing, OutcomePublished, OutcomePresent, OutcomeHit,
}

// combine makes a result of those of several images, of which the first is the environment's own.
func (r *Result) combine(images []*Result) {
	own := images[0]
	r.Services = images
	r.Image, r.Hash, r.Reference, r.SignedBy = own.Image, own.Hash, own.Reference, own.SignedBy
	r.Platform, r.Request, r.Namespace, r.Publication = own.Platform, own.Request, own.Namespace, own.Publication
	r.CacheResult, r.Role = own.CacheResult, own.Role
	r.Compose = own.Compose
	r.Warnings, r.Notices = nil, slices.Clone(r.Notices)
	r.Outcome, r.SavedSeconds, r.Reason = "", 0, ""
	for _, image := range images {
		r.Outcome = heavier(r.Outcome, image.Outcome)
		r.Warnings = append(r.Warnings, image.Warnings...)
		for _, notice := range image.Notices {
			r.Notices = append(r.Notices, image.Service+": "+notice)
		}
		if image.ExpiresAt != nil && (r.ExpiresAt == nil || image.ExpiresAt.Before(*r.ExpiresAt)) {
			r.ExpiresAt, r.Retention = image.ExpiresAt, image.Retention
		}
		r.SavedSeconds += image.SavedSeconds
		r.Seconds = r.Seconds.with(image.Seconds)
	}
	for _, image := range images { // of an image that made the outcome
		if image.Outcome == r.Outcome {
			r.Reason = image.Reason
			break
		}
	}
	for _, image := range images {
		if image.CacheResult == v1alpha1.CacheMiss { // a hit only if all are
			r.CacheResult, r.Role = image.CacheResult, image.Role
			break
		}
	}
}

func heavier(a, b Outcome) Outcome {
	for _, outcome := range combinedOutcomes {
		if a == outcome || b == outcome {
			return outcome
		}
	}
	return b
}

// with combines the times of two images: builds run one after the other, and everything else side by side.
func (t Times) with(other Times) Times {
	return Times{
		Total: max(t.Total, other.Total), Lookup: max(t.Lookup, other.Lookup), Wait: max(t.Wait, other.Wait),
		Pull: max(t.Pull, other.Pull), Build: t.Build + other.Build, Publish: max(t.Publish, other.Publish),
	}
}
