package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// request is one that has image d of hash h.
func request(environment string, at time.Time, change func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
	pushed := metav1.NewTime(noon)
	made := v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", CreationTimestamp: metav1.NewTime(at)},
		Spec: v1alpha1.DevcontainerImageSpec{EnvironmentID: environment, Service: "app", ProjectRef: &v1alpha1.ProjectReference{Name: "web"},
			Platform: "linux/amd64", Inputs: []v1alpha1.KeyInput{{Name: "devcontainer.json", Digest: "sha256:1"}}},
		Status: v1alpha1.DevcontainerImageStatus{
			ConfigHash: "h", Image: &v1alpha1.CachedImage{Reference: "r@d", Digest: "d", PushedAt: &pushed, BuildSeconds: ptr.To(int64(90))},
		},
	}
	change(&made)
	return made
}

func publisher(r *v1alpha1.DevcontainerImage) {
	r.Status.CacheResult = v1alpha1.CacheMiss
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionTrue}}
}

func puller(r *v1alpha1.DevcontainerImage) {
	r.Status.CacheResult = v1alpha1.CacheHit
	r.Status.SavedSeconds = ptr.To(int64(80))
	r.Spec.Pull = &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded}
}

var day = []v1alpha1.DevcontainerImage{
	request("env-1", noon, publisher),
	request("env-2", noon.Add(time.Hour), puller),
	request("env-3", noon.Add(2*time.Hour), puller),
	request("env-4", noon, func(r *v1alpha1.DevcontainerImage) {
		r.Status = v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed}
	}),
}

func TestImagesFromTheRepository(t *testing.T) {
	const month = 30 * 24 * time.Hour
	stored := []Stored{
		{Digest: "old", Tags: []string{"g"}, PushedAt: noon.Add(-time.Hour), SizeBytes: 5, Archived: true,
			LastPulledAt: noon.Add(-time.Minute), Findings: map[string]int32{"HIGH": 2},
			Origin: publication.Origin{Environment: "env-0", Service: "api", BuildSeconds: 7, Platform: "linux/arm64", Inputs: []publication.Input{{Name: "Dockerfile"}}}},
		{Digest: "d", Tags: []string{"h"}, PushedAt: noon, SizeBytes: 10, LastPulledAt: noon.Add(time.Minute)},
		{Digest: "untagged", PushedAt: noon},
	}
	want := []Image{
		{Hash: "h", Digest: "d", Reference: "r@d", SizeBytes: ptr.To(int64(10)), PushedAt: ptr.To(noon), ExpiresAt: ptr.To(noon.Add(month)),
			LastPulledAt: ptr.To(noon.Add(2 * time.Hour)), BuildSeconds: ptr.To(int64(90)), Environment: "env-1", Service: "app", Pulls: 2,
			Platform: "linux/amd64", Inputs: []publication.Input{{Name: "devcontainer.json", Digest: "sha256:1"}}},
		{Hash: "g", Digest: "old", SizeBytes: ptr.To(int64(5)), PushedAt: ptr.To(noon.Add(-time.Hour)), ExpiresAt: ptr.To(noon.Add(month - time.Hour)),
			LastPulledAt: ptr.To(noon.Add(-time.Minute)), Findings: map[string]int32{"HIGH": 2},
			BuildSeconds: ptr.To(int64(7)), Environment: "env-0", Service: "api", Archived: true, Platform: "linux/arm64", Inputs: []publication.Input{{Name: "Dockerfile"}}},
	}
	if diff := cmp.Diff(want, Images(day, stored, month)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestAnImageThatIsUsedAndSoonExpiresIsDue(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for name, test := range map[string]struct {
		pulled  *time.Time
		expires time.Duration
		kept    time.Duration
		want    bool
	}{
		"used, in 6 days":   {ptr.To(noon), 6 * 24 * time.Hour, month, true},
		"used, in 8 days":   {ptr.To(noon), 8 * 24 * time.Hour, month, false},
		"used, expired":     {ptr.To(noon), -time.Hour, month, false},
		"used 15 days ago":  {ptr.To(noon.Add(-15 * 24 * time.Hour)), 6 * 24 * time.Hour, month, false},
		"kept for a week":   {ptr.To(noon), 6 * 24 * time.Hour, 7 * 24 * time.Hour, false},
		"unused, in 6 days": {nil, 6 * 24 * time.Hour, month, false},
	} {
		image := Image{LastPulledAt: test.pulled, PushedAt: ptr.To(noon.Add(test.expires - test.kept)), ExpiresAt: ptr.To(noon.Add(test.expires))}
		if got := image.IsDue(noon); got != test.want {
			t.Errorf("%s: due is %t, want %t", name, got, test.want)
		}
		if image.Archived = true; image.IsDue(noon) {
			t.Errorf("%s: an archived image, which nobody can pull, is due", name)
		}
	}
}

func TestImagesFromRequestsAlone(t *testing.T) {
	want := []Image{{Hash: "h", Digest: "d", Reference: "r@d", PushedAt: ptr.To(noon), LastPulledAt: ptr.To(noon.Add(2 * time.Hour)),
		BuildSeconds: ptr.To(int64(90)), Environment: "env-1", Service: "app", Pulls: 2,
		Platform: "linux/amd64", Inputs: []publication.Input{{Name: "devcontainer.json", Digest: "sha256:1"}}}}
	if diff := cmp.Diff(want, Images(day, nil, time.Hour)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got := Images(day, []Stored{}, time.Hour); len(got) != 0 {
		t.Errorf("an empty repository has %d images", len(got))
	}
}

func TestProjects(t *testing.T) {
	cache := v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web"},
		Spec:       v1alpha1.ProjectImageCacheSpec{ProjectID: "web-id"},
		Status: v1alpha1.ProjectImageCacheStatus{
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}},
			Images:     &v1alpha1.ImageStatistics{Count: ptr.To(int64(1)), SizeBytes: ptr.To(int64(10)), EstimatedMonthlyCostUSD: "0.01", DueCount: ptr.To(int64(3))},
		},
	}
	want := []Project{
		{Namespace: "n", Name: "web", ProjectID: "web-id", Requests: 4, Hits: 2, Misses: 1, Bypassed: 1, HitRate: ptr.To(2.0 / 3), SavedSeconds: 160,
			Images: ptr.To(int64(1)), SizeBytes: ptr.To(int64(10)), EstimatedMonthlyCostUSD: "0.01", Due: ptr.To(int64(3)), Ready: "True", Reason: "Succeeded"},
		{Namespace: "other", Name: "web", Ready: "Unknown"},
	}
	other := v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "web"}}
	if diff := cmp.Diff(want, Projects([]v1alpha1.ProjectImageCache{cache, other}, day)); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
}
