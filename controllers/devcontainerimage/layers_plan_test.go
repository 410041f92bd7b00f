package devcontainerimage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
	"imagecache.dev/test/fixture"
)

func TestLayersComeFromTheMostSimilarImagesThatMayLendThem(t *testing.T) {
	const prebuild, created = string(v1alpha1.TriggerPrebuild), string(v1alpha1.TriggerEnvironmentCreated)
	image := func(digest, trigger string, age time.Duration, pairs ...string) publication.Stored {
		stored := cachedImage(digest, age, pairs...)
		stored.Origin.Trigger, stored.Origin.Platform = trigger, "linux/amd64"
		return stored
	}
	elsewhere := image("other platform", prebuild, 0, "Dockerfile", "1", "devcontainer.json", "1")
	elsewhere.Origin.Platform = "linux/arm64"
	unknown := image("of no hash", prebuild, 0)
	unknown.Origin.Hash = ""
	same := image("same hash", prebuild, 0, "Dockerfile", "1", "devcontainer.json", "1")
	same.Origin.Hash = "asked"
	cached := []publication.Stored{
		image("old", prebuild, 3*time.Hour, "Dockerfile", "2", "devcontainer.json", "1"), image("nothing in common", prebuild, 0, "Dockerfile", "3", "devcontainer.json", "3"),
		image("new", prebuild, time.Hour, "Dockerfile", "2", "devcontainer.json", "1"), image("of an environment", created, 0, "Dockerfile", "1", "devcontainer.json", "2"),
		image("expired", prebuild, 30*24*time.Hour, "Dockerfile", "2", "devcontainer.json", "1"), elsewhere, unknown, same,
		image("oldest", prebuild, 4*time.Hour, "Dockerfile", "2", "devcontainer.json", "1"),
	}
	asked := publication.Origin{Hash: "asked", Platform: "linux/amd64", Inputs: inputsWith("Dockerfile", "1", "devcontainer.json", "1")}
	policy := publication.Policy{Retention: 30 * 24 * time.Hour}
	for reuse, want := range map[v1alpha1.LayerReuse][]string{
		"":                           {"new", "old", "oldest"},
		v1alpha1.LayerReusePrebuilds: {"new", "old", "oldest"},
		v1alpha1.LayerReuseAny:       {"of an environment", "new", "old"},
		v1alpha1.LayerReuseOff:       nil,
	} {
		t.Run(string(reuse), func(t *testing.T) {
			var got []string
			for _, source := range layerSources(asked, cached, reuse, policy, fixture.Noon) {
				got = append(got, source.Digest)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrebuildsTakeNoLayersOfEnvironments(t *testing.T) {
	for _, test := range []struct {
		set     v1alpha1.LayerReuse
		trigger v1alpha1.Trigger
		want    v1alpha1.LayerReuse
	}{
		{v1alpha1.LayerReusePrebuilds, v1alpha1.TriggerPrebuild, v1alpha1.LayerReusePrebuilds},
		{v1alpha1.LayerReuseOff, v1alpha1.TriggerPrebuild, v1alpha1.LayerReuseOff},
		{v1alpha1.LayerReuseAny, v1alpha1.TriggerPrebuild, v1alpha1.LayerReusePrebuilds},
		{v1alpha1.LayerReuseAny, v1alpha1.TriggerEnvironmentCreated, v1alpha1.LayerReuseAny},
		{v1alpha1.LayerReusePrebuilds, v1alpha1.TriggerEnvironmentCreated, v1alpha1.LayerReusePrebuilds},
	} {
		project, request := &v1alpha1.ProjectImageCache{}, &v1alpha1.DevcontainerImage{}
		project.Spec.LayerReuse, request.Spec.Trigger = test.set, test.trigger
		if got := reuseOf(project, request); got != test.want {
			t.Errorf("with %s a %s takes layers of %s, want %s", test.set, test.trigger, got, test.want)
		}
	}
}

// A step that ran once must not stay in image after image for as long as configurations change.
func TestLayersAreTakenOverOnlyForTheRetention(t *testing.T) {
	const retention = 30 * 24 * time.Hour
	for name, test := range map[string]struct {
		age, invalidated time.Duration // before now; zero: nothing is invalidated
		want             bool
	}{
		"new":                {age: time.Hour},
		"a second left":      {age: retention - time.Second},
		"as old as it gets":  {age: retention, want: true},
		"invalidated":        {age: 2 * time.Hour, invalidated: time.Hour, want: true},
		"after invalidation": {age: time.Hour, invalidated: 2 * time.Hour},
	} {
		policy := publication.Policy{Retention: retention}
		if test.invalidated > 0 {
			policy.InvalidatePushedBefore = fixture.Noon.Add(-test.invalidated)
		}
		if got := outlived(fixture.Noon.Add(-test.age), policy, fixture.Noon); got != test.want {
			t.Errorf("%s: outlived %v, want %v", name, got, test.want)
		}
	}
}
