package runner

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/api/v1alpha1"
)

func TestResultOfSeveralImages(t *testing.T) {
	soon, later := time.Unix(1000, 0), time.Unix(2000, 0)
	hit := Result{
		Service: "app", Outcome: OutcomeHit, Image: "app:1", Hash: "a", Reference: "r@a", CacheResult: v1alpha1.CacheHit,
		SavedSeconds: 100, Reason: "Found", Seconds: Times{Total: 3, Pull: 3, Lookup: 1}, ExpiresAt: &later, Retention: 2,
	}
	missed := Result{
		Service: "worker", Outcome: OutcomePublished, Image: "worker:1", Hash: "b", CacheResult: v1alpha1.CacheMiss,
		Role: v1alpha1.RoleBuilder, Reason: "ImageNotFound", Seconds: Times{Total: 9, Build: 5, Publish: 2},
		Notices: []string{"slow"}, ExpiresAt: &soon, Retention: 1,
	}
	local := Result{
		Service: "job", Outcome: OutcomeBuilt, Image: "job:1", CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleLocalBuild,
		Reason: "Rebuild", Seconds: Times{Total: 7, Build: 4},
	}
	tests := map[string]struct {
		images []*Result
		want   Result
	}{
		"one service": {[]*Result{&hit}, Result{
			Environment: "env", Notices: []string{"of all"}, Outcome: OutcomeHit, Image: "app:1", Hash: "a", Reference: "r@a",
			CacheResult: v1alpha1.CacheHit, SavedSeconds: 100, Reason: "Found", Seconds: hit.Seconds, ExpiresAt: &later, Retention: 2,
		}},
		"a part is missing": {[]*Result{&hit, &missed}, Result{
			Environment: "env", Notices: []string{"of all", "worker: slow"}, Outcome: OutcomePublished, Image: "app:1", Hash: "a",
			Reference: "r@a", CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, SavedSeconds: 100, Reason: "ImageNotFound",
			Seconds: Times{Total: 9, Lookup: 1, Pull: 3, Build: 5, Publish: 2}, ExpiresAt: &soon, Retention: 1,
		}},
		"a part is not published": {[]*Result{&missed, &local}, Result{
			Environment: "env", Notices: []string{"of all", "worker: slow"}, Outcome: OutcomeBuilt, Image: "worker:1", Hash: "b",
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, Reason: "Rebuild",
			Seconds: Times{Total: 9, Build: 9, Publish: 2}, ExpiresAt: &soon, Retention: 1,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Result{Environment: "env", Notices: []string{"of all"}}
			got.combine(test.images)
			test.want.Services = test.images
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}
