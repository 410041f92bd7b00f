package runner

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

func TestABuildFromALayerCacheKeepsTheTimeOfAnEarlierOne(t *testing.T) {
	tests := map[string]struct {
		expected *int64 // of the project's most similar image
		took     time.Duration
		cached   int
		want     time.Duration
	}{
		"built in full":                      {ptr.To(int64(225)), 8 * time.Second, 0, 8 * time.Second},
		"cached, earlier builds took longer": {ptr.To(int64(225)), 8 * time.Second, 3, 225 * time.Second},
		"cached, and longer than any":        {ptr.To(int64(225)), 300 * time.Second, 1, 300 * time.Second},
		"cached, the first of its project":   {nil, 8 * time.Second, 3, 8 * time.Second},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			image := &v1alpha1.DevcontainerImage{}
			image.Status.Builder = &v1alpha1.BuilderReference{ExpectedSeconds: test.expected}
			if got := buildTime(image, test.took, test.cached); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
