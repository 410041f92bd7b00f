package ecr

import (
	"strings"
	"testing"
	"time"
)

func FuzzParseManifest(f *testing.F) {
	d := "sha256:" + strings.Repeat("a", 64)
	f.Add(`{"schemaVersion":2,"mediaType":"`+ociManifest+`","config":{"digest":"`+d+`","size":1},"layers":[{"digest":"`+d+`","size":2}]}`, "")
	f.Add(`{"schemaVersion":2,"manifests":[{"digest":"`+d+`"}]}`, ociIndex)
	f.Fuzz(func(t *testing.T, body, said string) {
		img, err := parseManifest([]byte(body), said)
		if err != nil {
			return
		}
		for _, l := range append(img.layers, img.children...) {
			if !sha256Pattern.MatchString(l) {
				t.Errorf("digest %q went through", l)
			}
		}
	})
}

// Whatever the policy: applying it twice at one time expires nothing more, and nothing younger than a day goes by age.
func FuzzLifecycle(f *testing.F) {
	f.Add(`{"rules":[{"rulePriority":1,"description":"................","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`)
	f.Add(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}` + strings.Repeat(" ", 40))
	f.Add(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":1177000},"action":{"type":"expire"}}]}`)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := parseLifecycle(text)
		if err != nil {
			return
		}
		p := &repository{images: map[string]*image{}, tagged: map[string]*image{}, layers: map[string]*layer{}, lifecycle: &lifecyclePolicy{rules: rules}}
		for i, age := range []time.Duration{time.Hour, 40 * time.Hour, 4000 * time.Hour, 40_000 * time.Hour} {
			img := &image{digest: string(rune('a' + i)), pushed: now.Add(-age)}
			p.add(img)
			p.point("v"+img.digest, img)
		}
		p.applyLifecycle(now)
		byCount := strings.Contains(text, countMoreThan)
		if p.images["a"] == nil && !byCount {
			t.Error("an image of one hour was expired by age")
		}
		if n := p.applyLifecycle(now); n != 0 {
			t.Errorf("%d more images expired at the same time", n)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"a*", "abc", true}, {"a*", "bc", false}, {"*c", "abc", true}, {"a*c", "abbc", true}, {"a*b*c", "axbxc", true},
		{"a*b*c", "axc", false}, {"ab", "ab", true}, {"ab", "abc", false}, {"a*a", "a", false}, {"**", "x", true},
	} {
		if got := glob(tc.pattern, tc.text); got != tc.want {
			t.Errorf("glob(%q, %q) = %v", tc.pattern, tc.text, got)
		}
	}
}
