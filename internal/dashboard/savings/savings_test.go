package savings

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/record"
)

var (
	noon     = time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)
	today    = time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	requests = []*record.Request{
		{Project: "web", Result: v1alpha1.CacheHit, Pulled: true, SavedSeconds: 90, Created: noon},
		{Project: "web", Result: v1alpha1.CacheMiss, Created: today},
		{Project: "web", Result: v1alpha1.CacheMiss, Pulled: true, SavedSeconds: 40, Created: today.Add(-time.Second)},
		{Project: "web", Result: v1alpha1.CacheBypassed, Created: noon},
		{Project: "web", Result: v1alpha1.CacheHit, Trigger: v1alpha1.TriggerPrebuild, Created: noon},
		{Project: "web", Result: v1alpha1.CacheHit, Pulled: true, SavedSeconds: 1000, Created: today.AddDate(0, 0, -9)},
		{Project: "gone", Result: v1alpha1.CacheHit, Created: noon},
		{Project: "web", Result: v1alpha1.CacheHit, Created: noon.AddDate(0, 0, 1)}, // of a clock that is ahead
	}
)

func TestDays(t *testing.T) {
	got := Days(requests, 2, noon)
	want := []Day{
		{Start: today.AddDate(0, 0, -1), Misses: 1, Avoided: 1, SavedSeconds: 40},
		{Start: today, Hits: 2, Misses: 1, Avoided: 1, SavedSeconds: 90},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	total := Total(got)
	if rate, known := total.HitRate(); !known || rate != 0.5 || total.SavedSeconds != 130 || total.Avoided != 2 {
		t.Errorf("total %+v, hit rate %v", total, rate)
	}
	if _, known := (Day{}).HitRate(); known {
		t.Error("a day without answers has a hit rate")
	}
}

func TestProjectsThatSavedMostComeFirst(t *testing.T) {
	quiet := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "quiet"}}
	web := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	web.Status.Images = &v1alpha1.ImageStatistics{Count: ptr.To(int64(3)), SizeBytes: ptr.To(int64(7)), EstimatedMonthlyCostUSD: "0.50"}
	projects := []*v1alpha1.ProjectImageCache{quiet, web}
	got := Projects(projects, requests, today)
	if got[0].Name != "web" || got[0].SavedSeconds != 90 || got[0].Hits != 2 || got[0].Misses != 1 || got[0].Bypassed != 1 {
		t.Errorf("first %+v", got[0])
	}
	if got[1].Name != "quiet" || got[1].Requests != 0 {
		t.Errorf("second %+v", got[1])
	}
	if images, size, cost := Stored(projects); images != 3 || size != 7 || cost != 0.5 {
		t.Errorf("stored %d images, %d bytes, %v dollars", images, size, cost)
	}
}
