package pullcredentials

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

func TestGrantsAndRefreshesAreCountedOnce(t *testing.T) {
	credentials := func(minutes int) *v1alpha1.CredentialReference {
		return &v1alpha1.CredentialReference{SecretName: "s", ExpiresAt: metav1.NewTime(fixture.Noon.Add(time.Duration(minutes) * time.Minute))}
	}
	ready := fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	failed := fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonRefreshFailed)
	expired := fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonCredentialsExpired)
	for name, test := range map[string]struct {
		before, after v1alpha1.ProjectImageCacheStatus
		counts        map[string]float64
		events        []string
	}{
		"first grant": {
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(60), Conditions: ready},
			counts: map[string]float64{"grants_total[pull a]": 1, "credential_lifetime_seconds[pull] count": 1, "credential_lifetime_seconds[pull] sum": 3600},
			events: []string{"Normal PullCredentialsReady"},
		},
		"refresh": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: ready},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(60), Conditions: ready},
			counts: map[string]float64{"grants_total[pull a]": 1, "credential_refreshes_total[Succeeded a]": 1, "credential_lifetime_seconds[pull] count": 1, "credential_lifetime_seconds[pull] sum": 3600},
		},
		"refresh failed": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: ready},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: failed},
			counts: map[string]float64{"credential_refreshes_total[Failed a]": 1},
			events: []string{"Warning RefreshFailed"},
		},
		"still failing, and expired": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(0), Conditions: failed},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(0), Conditions: expired},
			counts: map[string]float64{},
			events: []string{"Warning CredentialsExpired"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &Reconciler{Recorder: recorder}
			project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, Status: test.after}
			counts, made := fixture.Told(t, recorder, func() { r.announce(project, &test.before, pullFacts{now: fixture.Noon}) })
			if diff := cmp.Diff(test.counts, counts); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, made); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if counts, made = fixture.Told(t, recorder, func() { r.announce(project, project.Status.DeepCopy(), pullFacts{now: fixture.Noon}) }); len(counts)+len(made) > 0 {
				t.Errorf("a pass that changes nothing counts %v and tells %v", counts, made)
			}
		})
	}
}
