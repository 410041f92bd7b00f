package devcontainerimage

import (
	"slices"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

// maxLayerSources limits how many images are verified until one of them may lend its layers.
const maxLayerSources = 3

// layerSources returns the cached images whose layers a build may take over, the most similar first. Their origins are
// hints: a signature has to confirm each.
func layerSources(
	asked publication.Origin, cached []publication.Stored, reuse v1alpha1.LayerReuse, policy publication.Policy, now time.Time,
) []publication.Stored {
	var sources []publication.Stored
	for _, image := range cached {
		switch {
		case image.Origin.Hash == "" || image.Origin.Hash == asked.Hash || image.Origin.Platform != asked.Platform:
		case !current(&image, policy, now):
		case !lendsLayers(reuse, image.Origin.Trigger):
		default:
			sources = append(sources, image)
		}
	}
	slices.SortStableFunc(sources, func(a, b publication.Stored) int {
		if order := likenessOf(asked, b.Origin).compare(likenessOf(asked, a.Origin)); order != 0 {
			return order
		}
		return b.PushedAt.Compare(a.PushedAt)
	})
	return sources[:min(len(sources), maxLayerSources)]
}

// reuseOf returns whose layers the build of a request may take over. A prebuild takes none of an environment's, because it
// lends its own to others: a project that had Any is then safe again as soon as it has Prebuilds.
func reuseOf(project *v1alpha1.ProjectImageCache, request *v1alpha1.DevcontainerImage) v1alpha1.LayerReuse {
	if reuse := project.Spec.LayerReuse; reuse != v1alpha1.LayerReuseAny || !isPrebuild(request) {
		return reuse
	}
	return v1alpha1.LayerReusePrebuilds
}

// outlived reports whether layers are too old to be taken over, the oldest of which is of a build that began at a time. An
// image is stored for its retention, and no layer gets into a new one that is older than that: what a step downloaded
// would otherwise stay for as long as configurations change.
func outlived(since time.Time, policy publication.Policy, now time.Time) bool {
	return !now.Before(since.Add(policy.Retention)) || since.Before(policy.InvalidatePushedBefore)
}

// lendsLayers reports whether an image that a request with a trigger published may lend its layers. A build can make
// layers that are not what its steps say, by a cache mount that another of its stages wrote. So by default only builds of
// those who may prebuild count.
func lendsLayers(reuse v1alpha1.LayerReuse, trigger string) bool {
	switch reuse {
	case v1alpha1.LayerReuseAny:
		return true
	case v1alpha1.LayerReuseOff:
		return false
	}
	return trigger == string(v1alpha1.TriggerPrebuild)
}
