package inspect

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func TestRunnerFindings(t *testing.T) {
	cache := &v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Spec:       v1alpha1.RunnerImageCacheSpec{Provider: v1alpha1.ProviderGCP, Cache: v1alpha1.CacheDisabled},
		Status: v1alpha1.RunnerImageCacheStatus{ObservedGeneration: 1, Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRoleNotOwned, "sums up"),
			condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonRoleNotOwned, "sums up"),
			condition(v1alpha1.ConditionAccountReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "account 1"),
			condition(v1alpha1.ConditionRolesReady, metav1.ConditionFalse, v1alpha1.ReasonRoleNotOwned, "somebody else's"),
			condition(v1alpha1.ConditionTagsReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, ""),
		}},
	}
	want := []Finding{
		{"Runner", "provider", ResultFailed, "GCP", "only AWS EC2 runners can use the cache"},
		{"Runner", "cache", ResultFailed, "Disabled", "set spec.cache of the RunnerImageCache to Enabled"},
		{"Runner", "controller", ResultFailed, "the controller has not processed the latest spec", "check that the manager is running"},
		{"Runner", "AccountReady", ResultOK, "account 1", ""},
		{"Runner", "RolesReady", ResultFailed, "RoleNotOwned: somebody else's", "remove the role, or use spec.roles of type Provided"},
		{"Runner", "TagsReady", ResultWarning, "Progressing", "wait a moment, and run the check again"},
	}
	if diff := cmp.Diff(want, RunnerFindings(cache)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestDoctorTellsWhatBecomesOfCompose(t *testing.T) {
	for policy, want := range map[v1alpha1.ComposePolicy]string{
		"":                             "Docker Compose configurations are bypassed; spec.compose: Cached changes that",
		v1alpha1.ComposePolicyBypassed: "Docker Compose configurations are bypassed; spec.compose: Cached changes that",
		v1alpha1.ComposePolicyCached:   "Docker Compose services are cached",
	} {
		project := &v1alpha1.ProjectImageCache{Spec: v1alpha1.ProjectImageCacheSpec{Compose: policy}}
		var got string
		for _, finding := range ProjectFindings(project, noon) {
			if finding.Check == "compose" && finding.Result == ResultOK {
				got = finding.Message
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", policy, got, want)
		}
	}
}

func TestProjectFindings(t *testing.T) {
	at := func(expires time.Time) *v1alpha1.CredentialReference {
		return &v1alpha1.CredentialReference{SecretName: "s", ExpiresAt: metav1.NewTime(expires)}
	}
	tests := map[string]struct {
		status v1alpha1.ProjectImageCacheStatus
		want   []Result
	}{
		"never looked at":     {v1alpha1.ProjectImageCacheStatus{}, []Result{ResultFailed, ResultOK, ResultSkipped}},
		"valid credentials":   {v1alpha1.ProjectImageCacheStatus{PullCredentials: at(noon.Add(time.Hour))}, []Result{ResultFailed, ResultOK, ResultOK}},
		"expired credentials": {v1alpha1.ProjectImageCacheStatus{PullCredentials: at(noon.Add(-time.Hour))}, []Result{ResultFailed, ResultOK, ResultFailed}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []Result
			for _, finding := range ProjectFindings(&v1alpha1.ProjectImageCache{Status: test.status}, noon) {
				got = append(got, finding.Result)
				if finding.Result == ResultFailed && finding.Advice == "" {
					t.Errorf("no advice: %+v", finding)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDueImagesAreAWarning(t *testing.T) {
	for status, want := range map[metav1.ConditionStatus]Finding{
		metav1.ConditionTrue:  {"Project", "ImagesDue", ResultWarning, "UsedImagesExpire: two", "run imagecache prebuild --due, best each night"},
		metav1.ConditionFalse: {"Project", "ImagesDue", ResultOK, "none", ""},
	} {
		cache := &v1alpha1.ProjectImageCache{Status: v1alpha1.ProjectImageCacheStatus{Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionImagesDue, metav1.ConditionTrue, v1alpha1.ReasonUsedImagesExpire, "two"),
		}}}
		if status == metav1.ConditionFalse {
			cache.Status.Conditions[0] = condition(v1alpha1.ConditionImagesDue, status, v1alpha1.ReasonNoneDue, "none")
		}
		if got := ProjectFindings(cache, noon)[1]; got != want {
			t.Errorf("ImagesDue is %s: %+v, want %+v", status, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	tests := map[string]struct {
		said time.Time
		want Result
	}{
		"the same":         {noon, ResultOK},
		"half a minute":    {noon.Add(30 * time.Second), ResultOK},
		"a minute behind":  {noon.Add(-time.Minute), ResultWarning},
		"six minutes off":  {noon.Add(6 * time.Minute), ResultFailed},
		"no time was told": {time.Time{}, ResultSkipped},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &findings{area: areaCluster}
			f.clock(test.said, noon)
			if got := f.list[0].Result; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
