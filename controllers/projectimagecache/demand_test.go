package projectimagecache

import (
	"testing"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

func TestPullsWithoutARecordAreFound(t *testing.T) {
	pulled := func(days float64, change ...func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
		return requestFor(hashNamed("e"), append([]func(*v1alpha1.DevcontainerImage){func(r *v1alpha1.DevcontainerImage) {
			r.Status.FinishedAt, r.Status.Image = stampOf(daysAgo(days)), &v1alpha1.CachedImage{Digest: "sha256:e"}
			r.Spec.Pull = &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded}
		}}, change...)...)
	}
	recorded := func(days float64) time.Time { return daysAgo(days) }
	const hour = 1. / 24
	for name, test := range map[string]struct {
		record     time.Time
		request    v1alpha1.DevcontainerImage
		unrecorded string
		recent     bool
	}{
		"recorded":                            {recorded(0.5), pulled(0.5), "", false},
		"in hourly use, recorded once a day":  {recorded(1.4), pulled(0.5), "", false},
		"the clock is 20 minutes ahead":       {recorded(1.51), pulled(0.5), "", false},
		"never recorded":                      {time.Time{}, pulled(0.5), "sha256:e", false},
		"recorded last a week ago":            {recorded(7), pulled(0.5), "sha256:e", false},
		"pulled half an hour ago":             {time.Time{}, pulled(hour / 2), "", true},
		"pulled before the time began":        {time.Time{}, pulled(9), "", false},
		"the pull failed":                     {time.Time{}, pulled(0.5, func(r *v1alpha1.DevcontainerImage) { r.Spec.Pull.Outcome = v1alpha1.PullFailed }), "", false},
		"not pulled yet":                      {time.Time{}, pulled(0.5, func(r *v1alpha1.DevcontainerImage) { r.Spec.Pull = nil }), "", false},
		"an image that was replaced meantime": {time.Time{}, pulled(0.5, func(r *v1alpha1.DevcontainerImage) { r.Status.Image.Digest = "sha256:f" }), "", false},
	} {
		d := newDemand([]ecr.Image{{Digest: "sha256:e", LastPulledAt: test.record}}, daysAgo(8), daysAgo(7), fixture.Noon)
		if d.add(&test.request); d.unrecorded != test.unrecorded || d.recent != test.recent {
			t.Errorf("%s: unrecorded is %q, recent %t; want %q, %t", name, d.unrecorded, d.recent, test.unrecorded, test.recent)
		}
	}
}
