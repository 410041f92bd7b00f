package cache

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/publication"
)

func TestCachedKey(t *testing.T) {
	key := func(hash string, inputs ...v1alpha1.KeyInput) v1alpha1.DevcontainerImage {
		return v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{ConfigHash: hash, Inputs: inputs}}
	}
	input := v1alpha1.KeyInput{Name: "BuildContext main.go", Digest: "sha256:1"}
	requests := keysOfRequests([]v1alpha1.DevcontainerImage{key("aaaa1", input), key("aaaa1", input), key("aaaa2", input), key("bbbb")})
	images := keysOfImages([]catalog.Image{
		{Hash: "aaaa1", Platform: "linux/arm64", Inputs: []publication.Input{{Name: "BuildContext main.go", Digest: "sha256:1"}}},
		{Hash: "aaaa2", Inputs: []publication.Input{{Name: "Dockerfile"}}}, {Hash: "bbbb"},
	})
	for name, keys := range map[string][]*hashed{"requests": requests, "images": images} {
		found, err := cachedKey(keys, "aaaa1")
		if err != nil || found == nil || found.Hash != "aaaa1" || !found.told || len(found.Inputs) != 1 || found.Inputs[0].Digest != input.Digest {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
		if _, err := cachedKey(keys, "aaaa"); err == nil || !strings.Contains(err.Error(), "several cached images") {
			t.Errorf("%s: an ambiguous hash: %v", name, err)
		}
		for _, wanted := range []string{"bbbb", "cccc"} {
			if found, err := cachedKey(keys, wanted); found != nil || err != nil {
				t.Errorf("%s: %s: %+v, %v; want nothing", name, wanted, found, err)
			}
		}
	}
}

func TestKeysAreComparedByService(t *testing.T) {
	key := func(service string) *hashed { return &hashed{Service: service} }
	told := func(service string) *hashed { return &hashed{Service: service, told: true} }
	for name, test := range map[string]struct {
		before, after []*hashed
		want          string
	}{
		"one each":                        {[]*hashed{key("")}, []*hashed{key("")}, "both"},
		"services":                        {[]*hashed{key("app"), key("web")}, []*hashed{key("db"), key("app")}, "app both, web first, db second"},
		"an image and services":           {[]*hashed{key("")}, []*hashed{key("app"), key("web")}, "both"},
		"a cached service":                {[]*hashed{told("web")}, []*hashed{key("app"), key("web")}, "web both"},
		"a cached service, second":        {[]*hashed{key("app"), key("web")}, []*hashed{told("app")}, "app both"},
		"a cached service that is gone":   {[]*hashed{told("web")}, []*hashed{key("app")}, "web first"},
		"a cached image and services":     {[]*hashed{told("")}, []*hashed{key("app"), key("web")}, "both"},
		"two cached images, two services": {[]*hashed{told("web")}, []*hashed{told("app")}, "both"},
	} {
		var got []string
		for _, pair := range compared(test.before, test.after) {
			side := "both"
			switch {
			case pair.before == nil:
				side = "second"
			case pair.after == nil:
				side = "first"
			}
			got = append(got, strings.TrimSpace(pair.service+" "+side))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: compared %v, want %s", name, got, test.want)
		}
	}
}

func TestLatestRequestsOfAnEnvironment(t *testing.T) {
	request := func(name, service string, minute int) v1alpha1.DevcontainerImage {
		r := v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{Service: service}}
		r.Name, r.CreationTimestamp = name, metav1.NewTime(noon.Add(time.Duration(minute)*time.Minute))
		return r
	}
	for name, test := range map[string]struct {
		requests []v1alpha1.DevcontainerImage
		want     string
	}{
		"one":                      {[]v1alpha1.DevcontainerImage{request("a", "", 0)}, "a"},
		"a rebuild":                {[]v1alpha1.DevcontainerImage{request("b", "", 5), request("a", "", 0)}, "b"},
		"services":                 {[]v1alpha1.DevcontainerImage{request("w", "web", 0), request("a", "app", 0), request("old", "web", -5)}, "a w"},
		"services, and Dockerfile": {[]v1alpha1.DevcontainerImage{request("w", "web", 0), request("d", "", 5)}, "d"},
		"Dockerfile, and services": {[]v1alpha1.DevcontainerImage{request("d", "", 0), request("w", "web", 5), request("a", "app", 4)}, "a w"},
	} {
		var got []string
		for _, r := range latestOf(test.requests) {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}
