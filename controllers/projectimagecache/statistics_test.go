package projectimagecache

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

func TestCountDue(t *testing.T) {
	at := func(before time.Duration) *metav1.Time {
		stamp := metav1.NewTime(fixture.Noon.Add(-before))
		return &stamp
	}
	published := func(before time.Duration) []v1alpha1.DevcontainerImage {
		return []v1alpha1.DevcontainerImage{{Status: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, FinishedAt: at(before), Image: &v1alpha1.CachedImage{}}}}
	}
	for name, test := range map[string]struct {
		known    *v1alpha1.ImageStatistics
		requests []v1alpha1.DevcontainerImage
		asked    bool
		wait     time.Duration
		wanted   bool
	}{
		"nothing published":               {nil, nil, true, 0, false},
		"the first image":                 {nil, published(time.Second), true, 0, true},
		"another, soon after a count":     {&v1alpha1.ImageStatistics{ReadAt: at(20 * time.Second)}, published(time.Second), true, 40 * time.Second, true},
		"another, long after a count":     {&v1alpha1.ImageStatistics{ReadAt: at(time.Hour)}, published(time.Second), true, 0, true},
		"counted since":                   {&v1alpha1.ImageStatistics{ReadAt: at(time.Second)}, published(time.Hour), true, 0, false},
		"the oldest has expired":          {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), true, 0, true},
		"the oldest has expired, unasked": {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), false, 0, true},
		"the next has expired, unasked":   {&v1alpha1.ImageStatistics{ReadAt: at(2 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), false, 22 * time.Hour, true},
		"unasked, and counted":            {&v1alpha1.ImageStatistics{ReadAt: at(time.Minute / 2), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), false, 0, false},
		"the oldest expired, and counted": {&v1alpha1.ImageStatistics{ReadAt: at(time.Minute / 2), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), true, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			project := testProject(func(p *v1alpha1.ProjectImageCache) {
				p.Status.Images = test.known
				if test.asked {
					p.Status.PullCredentials = &v1alpha1.CredentialReference{ExpiresAt: *at(-time.Hour)}
				}
			})
			wait, wanted := countDue(project, test.requests, fixture.Noon, time.Minute)
			if wait != test.wait || wanted != test.wanted {
				t.Errorf("countDue = %s, %v; want %s, %v", wait, wanted, test.wait, test.wanted)
			}
		})
	}
}
