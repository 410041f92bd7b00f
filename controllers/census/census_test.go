package census

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/test/fixture"
)

func censusProject(uid, namespace string, bytes int64, conditions ...metav1.Condition) *v1alpha1.ProjectImageCache {
	return &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), Namespace: namespace},
		Status: v1alpha1.ProjectImageCacheStatus{
			Conditions: conditions, Images: &v1alpha1.ImageStatistics{Count: ptr.To[int64](2), SizeBytes: &bytes},
		},
	}
}

func censusRequest(uid string, age time.Duration, status v1alpha1.DevcontainerImageStatus) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), Namespace: "a", CreationTimestamp: metav1.NewTime(fixture.Noon.Add(-age))}, Status: status,
	}
}

// samples gathers a collector by name and label values.
func samples(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetGauge().GetValue()
		}
	}
	return values
}

func TestCensusAddsUpWhatThereIs(t *testing.T) {
	c := New(testclock.NewFakePassiveClock(fixture.Noon))
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}
	stalled := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRepositoryNotOwned}
	credentials := metav1.Condition{Type: v1alpha1.ConditionPullCredentialsReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}
	c.OnAdd(&v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{UID: "r", Namespace: "a"}}, true)
	for n, left := range []time.Duration{30 * time.Minute, 10 * time.Minute} {
		project := censusProject([]string{"p0", "p1"}[n], "a", metric.Gigabyte, ready, credentials)
		project.Status.Images.DueCount = ptr.To(int64(n + 1))
		project.Status.Images.DueExpiresAt = ptr.To(metav1.NewTime(fixture.Noon.Add(left)))
		project.Status.PullCredentials = &v1alpha1.CredentialReference{ExpiresAt: metav1.NewTime(fixture.Noon.Add(left))}
		c.OnAdd(project, true)
	}
	c.OnAdd(censusProject("p2", "b", 0, stalled), true)
	c.OnAdd(censusProject("p3", "b", 0, ready), true)
	c.OnDelete(toolscache.DeletedFinalStateUnknown{Obj: censusProject("p3", "b", 0)})
	c.OnAdd(censusRequest("d0", 10*time.Second, v1alpha1.DevcontainerImageStatus{}), false)
	c.OnAdd(censusRequest("d1", 40*time.Second, v1alpha1.DevcontainerImageStatus{}), false)
	c.OnAdd(censusRequest("d2", time.Hour, v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder}), false)
	c.OnAdd(censusRequest("d3", time.Hour, v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit}), false)
	c.OnAdd(censusRequest("d4", time.Hour, v1alpha1.DevcontainerImageStatus{}), false)
	c.OnUpdate(nil, censusRequest("d4", time.Hour, v1alpha1.DevcontainerImageStatus{FinishedAt: ptr.To(metav1.NewTime(fixture.Noon))}))

	elected := make(chan struct{})
	collector := &censusCollector{}
	if got := samples(t, collector); len(got) > 0 {
		t.Errorf("without a manager there is %v", got)
	}
	collector.source.Store(&censusSource{census: c, elected: elected, pricePerGBMonth: 0.1})
	if got := samples(t, collector); len(got) > 0 {
		t.Errorf("a manager that does not lead shows %v", got)
	}
	close(elected)
	want := map[string]float64{
		"imagecache_runners Unknown Progressing a":                        1,
		"imagecache_projects True Succeeded a":                            2,
		"imagecache_projects False RepositoryNotOwned b":                  1,
		"imagecache_pull_credentials Succeeded a":                         2,
		"imagecache_stored_images a":                                      4,
		"imagecache_stored_images b":                                      2,
		"imagecache_stored_bytes a":                                       2 * metric.Gigabyte,
		"imagecache_stored_bytes b":                                       0,
		"imagecache_estimated_monthly_cost_dollars a":                     0.2,
		"imagecache_estimated_monthly_cost_dollars b":                     0,
		"imagecache_due_images a":                                         3,
		"imagecache_due_images b":                                         0,
		"imagecache_due_images_earliest_expiry_timestamp_seconds a":       float64(fixture.Noon.Add(10 * time.Minute).Unix()),
		"imagecache_open_requests a Unanswered":                           2,
		"imagecache_open_requests a Builder":                              1,
		"imagecache_open_requests a AwaitingCredentials":                  1,
		"imagecache_open_requests b Unanswered":                           0,
		"imagecache_oldest_unanswered_request_age_seconds a":              40,
		"imagecache_oldest_unanswered_request_age_seconds b":              0,
		"imagecache_pull_credentials_earliest_expiry_timestamp_seconds a": float64(fixture.Noon.Add(10 * time.Minute).Unix()),
	}
	if diff := cmp.Diff(want, samples(t, collector)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

// A request stays one of the first or one of those beyond, whatever changes it.
func TestTheFurtherRequestsOfANamespaceAreACrowd(t *testing.T) {
	c := New(testclock.NewFakePassiveClock(fixture.Noon))
	answered := v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter}
	finished := v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, FinishedAt: ptr.To(metav1.NewTime(fixture.Noon))}
	request := func(n int, status v1alpha1.DevcontainerImageStatus) *v1alpha1.DevcontainerImage {
		return censusRequest(fmt.Sprint(n), 0, status)
	}
	crowd := func(when string, want map[int]bool) {
		t.Helper()
		for n, in := range want {
			if got := c.InCrowd(request(n, v1alpha1.DevcontainerImageStatus{})); got != in {
				t.Errorf("%s, request %d is in the crowd: %v, want %v", when, n, got, in)
			}
		}
	}
	for n := range CrowdSize {
		c.OnAdd(request(n, v1alpha1.DevcontainerImageStatus{}), false)
	}
	crowd("before the census sees the next", map[int]bool{0: false, CrowdSize - 1: false, CrowdSize: true})
	c.OnAdd(request(CrowdSize, v1alpha1.DevcontainerImageStatus{}), false)
	for _, n := range []int{0, CrowdSize} {
		c.OnUpdate(nil, request(n, answered))
	}
	crowd("after two answers", map[int]bool{0: false, CrowdSize - 1: false, CrowdSize: true})
	c.OnUpdate(nil, request(0, finished))
	c.OnUpdate(nil, request(0, finished))
	crowd("after one has finished", map[int]bool{1: false, CrowdSize: false})
	for n := range CrowdSize + 1 {
		c.OnDelete(request(n, v1alpha1.DevcontainerImageStatus{}))
	}
	if len(c.counted) != 0 {
		t.Errorf("%d namespaces are kept, want none", len(c.counted))
	}
	if (*Census)(nil).InCrowd(request(0, answered)) {
		t.Error("no census knows a crowd")
	}
}

func TestArrivalIsKnownOfRequestsThatCameWhileTheManagerRan(t *testing.T) {
	clock := testclock.NewFakePassiveClock(fixture.Noon)
	c := New(clock)
	old, fresh := censusRequest("old", 0, v1alpha1.DevcontainerImageStatus{}), censusRequest("new", 0, v1alpha1.DevcontainerImageStatus{})
	c.OnAdd(old, true)
	c.OnAdd(fresh, false)
	clock.SetTime(fixture.Noon.Add(time.Second))
	c.OnUpdate(nil, fresh)
	if _, known := c.ArrivalOf(old); known {
		t.Error("a request that was there before has an arrival")
	}
	if arrived, known := c.ArrivalOf(fresh); !known || !arrived.Equal(fixture.Noon) {
		t.Errorf("the arrival is %v, %v", arrived, known)
	}
	if _, known := (*Census)(nil).ArrivalOf(fresh); known {
		t.Error("no census knows an arrival")
	}
}

// The alert needs images that are due for a week, and no image is due after it expired.
func TestCensusOfDueImages(t *testing.T) {
	for name, test := range map[string]struct {
		retentionDays int32
		left          time.Duration
		due           float64
		expires       bool
	}{
		"due":                     {30, time.Hour, 2, true},
		"due, of short retention": {7, time.Hour, 2, false},
		"expired":                 {30, 0, 0, false},
		"expired long ago":        {30, -72 * time.Hour, 0, false},
	} {
		c := New(testclock.NewFakePassiveClock(fixture.Noon))
		project := censusProject("p", "a", 0)
		project.Spec.RetentionDays = &test.retentionDays
		project.Status.Images.DueCount = ptr.To(int64(2))
		project.Status.Images.DueExpiresAt = ptr.To(metav1.NewTime(fixture.Noon.Add(test.left)))
		c.OnAdd(project, true)
		due, expires := 0.0, false
		for _, figure := range c.figures(0.1) {
			switch figure.desc {
			case dueImagesDesc:
				due = figure.value
			case dueExpiryDesc:
				expires = true
			}
		}
		if due != test.due || expires != test.expires {
			t.Errorf("%s: %.0f images are due, earliest expiry exposed: %t; want %.0f, %t", name, due, expires, test.due, test.expires)
		}
	}
}
