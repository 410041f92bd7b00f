package devcontainerimage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
	"imagecache.dev/test/fixture"
)

func inputsWith(pairs ...string) []publication.Input {
	var list []publication.Input
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, publication.Input{Name: pairs[i], Digest: pairs[i+1]})
	}
	return list
}

// cachedImage is an image of an environment, pushed a while before noon, with inputs.
func cachedImage(environment string, age time.Duration, pairs ...string) publication.Stored {
	return publication.Stored{Digest: environment, PushedAt: fixture.Noon.Add(-age), Origin: publication.Origin{
		Hash: "hash of " + environment, HashVersion: 1, Platform: "linux/amd64", Environment: environment, Inputs: inputsWith(pairs...),
	}}
}

func TestNearestNamesWhatDiffers(t *testing.T) {
	asked := publication.Origin{Hash: "mine", HashVersion: 1, Platform: "linux/amd64",
		Inputs: inputsWith("devcontainer.json", "1", "Dockerfile", "2", "a", "3", "b", "4", "c", "5")}
	near := cachedImage("e-17", 3*time.Hour, "devcontainer.json", "1", "Dockerfile", "x", "a", "3", "b", "4", "c", "5")
	far := cachedImage("e-18", time.Hour, "devcontainer.json", "y", "Dockerfile", "x")
	with := func(image publication.Stored, edit func(*publication.Stored)) publication.Stored {
		edit(&image)
		return image
	}
	all := asked.Inputs
	for name, test := range map[string]struct {
		asked  publication.Origin
		cached []publication.Stored
		want   string
	}{
		"the image with most equal inputs": {asked, []publication.Stored{far, near},
			"Dockerfile differs from the image of 3 h ago (environment e-17); 4 of 5 inputs equal"},
		"several inputs": {asked, []publication.Stored{far},
			"devcontainer.json, Dockerfile, a and 2 more differ from the image of 1 h ago (environment e-18); 0 of 5 inputs equal"},
		"of two as near, the newer": {asked, []publication.Stored{near, with(near, func(i *publication.Stored) {
			i.Digest, i.PushedAt, i.Origin.Environment = "other", fixture.Noon.Add(-time.Hour), "e-19"
		})}, "Dockerfile differs from the image of 1 h ago (environment e-19); 4 of 5 inputs equal"},
		"of two with as many equal, the one with fewer others": {asked, []publication.Stored{near,
			with(near, func(i *publication.Stored) {
				i.PushedAt, i.Origin.Inputs = fixture.Noon, append(inputsWith("z", "9"), i.Origin.Inputs...)
			})},
			"Dockerfile differs from the image of 3 h ago (environment e-17); 4 of 5 inputs equal"},
		"an input that is not there any more": {asked, []publication.Stored{cachedImage("e-1", 0, append(flat(all), "removed", "6")...)},
			"removed differs from the image of 0 s ago (environment e-1); 5 of 5 inputs equal"},
		"another platform": {asked, []publication.Stored{with(cachedImage("e-1", 0, flat(all)...), func(i *publication.Stored) { i.Origin.Platform = "linux/arm64" })},
			"platform differs from the image of 0 s ago (environment e-1); 5 of 5 inputs equal"},
		"of two alike, the one for the same platform": {asked, []publication.Stored{
			with(near, func(i *publication.Stored) { i.PushedAt, i.Origin.Platform = fixture.Noon, "linux/arm64" }), near},
			"Dockerfile differs from the image of 3 h ago (environment e-17); 4 of 5 inputs equal"},
		"another version of the hash": {asked, []publication.Stored{with(cachedImage("e-1", 0, flat(all)...), func(i *publication.Stored) { i.Origin.HashVersion = 2 })},
			"the version of the hash differs from that of the image of 0 s ago (environment e-1); 5 of 5 inputs equal"},
		"an environment that is not known": {asked, []publication.Stored{with(near, func(i *publication.Stored) { i.Origin.Environment = "" })},
			"Dockerfile differs from the image of 3 h ago; 4 of 5 inputs equal"},
		"an image of the same service, though another service's has more in common": {
			publication.Origin{Hash: "mine", Service: "web", Inputs: all}, []publication.Stored{
				with(near, func(i *publication.Stored) { i.Origin.Service = "api" }),
				with(far, func(i *publication.Stored) { i.Origin.Service = "web" }),
			}, "devcontainer.json, Dockerfile, a and 2 more differ from the image of 1 h ago (environment e-18, service web); 0 of 5 inputs equal",
		},
		"an image of no service for a request of none": {asked, []publication.Stored{
			with(near, func(i *publication.Stored) { i.Origin.Service = "api" }), far,
		}, "devcontainer.json, Dockerfile, a and 2 more differ from the image of 1 h ago (environment e-18); 0 of 5 inputs equal"},
		"the image of another service, where none is of this one": {
			publication.Origin{Hash: "mine", Service: "web", Inputs: all}, []publication.Stored{near, far},
			"Dockerfile differs from the image of 3 h ago (environment e-17); 4 of 5 inputs equal",
		},
		"names that don't print": {publication.Origin{Inputs: inputsWith("a\x1b[2J\nb", "1")}, []publication.Stored{cachedImage("e-1", 0, "c", "2")},
			"a\uFFFD[2J\uFFFDb and c differ from the image of 0 s ago (environment e-1); 0 of 1 inputs equal"},
		"not an image that has expired":        {asked, []publication.Stored{with(near, func(i *publication.Stored) { i.PushedAt = fixture.Noon.Add(-30 * 24 * time.Hour) })}, ""},
		"not an image that is invalidated":     {asked, []publication.Stored{with(near, func(i *publication.Stored) { i.PushedAt = fixture.Noon.Add(-25 * time.Hour) })}, ""},
		"not the image of the hash: it's gone": {asked, []publication.Stored{with(near, func(i *publication.Stored) { i.Origin.Hash = "mine" })}, ""},
		"nothing where all seems the same":     {asked, []publication.Stored{cachedImage("e-1", 0, flat(all)...)}, ""},
		"nothing of images without inputs":     {asked, []publication.Stored{cachedImage("e-1", 0)}, ""},
		"nothing for requests without inputs":  {publication.Origin{Hash: "mine"}, []publication.Stored{near}, ""},
		"nothing where nothing is cached":      {asked, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			policy := publication.Policy{Retention: 30 * 24 * time.Hour, InvalidatePushedBefore: fixture.Noon.Add(-24 * time.Hour)}
			if strings.Contains(name, "expired") {
				policy.InvalidatePushedBefore = time.Time{}
			}
			if got := nearest(test.asked, test.cached, policy, fixture.Noon); got != test.want {
				t.Errorf("nearest = %q, want %q", got, test.want)
			}
		})
	}
}

// flat is inputs as the arguments that make them.
func flat(inputs []publication.Input) []string {
	var pairs []string
	for _, input := range inputs {
		pairs = append(pairs, input.Name, input.Digest)
	}
	return pairs
}

func TestRequestsTellTheInputsOfImagesWithoutAny(t *testing.T) {
	published := request("old", time.Hour, func(i *v1alpha1.DevcontainerImage) {
		i.Spec.EnvironmentID, i.Spec.Inputs = "e-old", []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "2"}}
		i.Status.ConfigHash = "told"
		i.Status.Image = &v1alpha1.CachedImage{Digest: "without", PushedAt: metaTime(fixture.Noon)}
		i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionTrue}}
	})
	gone := *published.DeepCopy()
	gone.Status.Image.Digest = "gone"
	building := request("building", 0, func(i *v1alpha1.DevcontainerImage) { i.Spec.Inputs = published.Spec.Inputs })
	told := toldBy([]v1alpha1.DevcontainerImage{published, gone, building})
	if len(told) != 2 {
		t.Fatalf("%d images told, want those of the 2 requests that published: %+v", len(told), told)
	}
	own := cachedImage("own", 0, "Dockerfile", "1")
	got := withRequests([]publication.Stored{own, {Digest: "without", PushedAt: fixture.Noon}, {Digest: "unknown"}}, told)
	want := []publication.Stored{
		own,
		{Digest: "without", PushedAt: fixture.Noon, Origin: publication.Origin{
			Hash: "told", HashVersion: 1, Platform: published.Spec.Platform, Environment: "e-old", Trigger: "EnvironmentCreated", Inputs: inputsWith("Dockerfile", "2"),
		}},
		{Digest: "unknown"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
