package devcontainerimage

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/test/fixture"
)

// summaryOf lists a status' conditions as type=status(reason).
func summaryOf(status v1alpha1.DevcontainerImageStatus) map[string]string {
	summary := map[string]string{}
	for _, condition := range status.Conditions {
		summary[condition.Type] = string(condition.Status) + "/" + condition.Reason
	}
	return summary
}

func TestStatusFollowsFromTheFacts(t *testing.T) {
	credentials := &v1alpha1.CredentialReference{SecretName: "x-push", ExpiresAt: metav1.NewTime(fixture.Noon.Add(15 * time.Minute))}
	removed := []metav1.Condition{{Type: v1alpha1.ConditionPushCredentialsRemoved, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonGranted}}
	for name, test := range map[string]struct {
		before   v1alpha1.DevcontainerImageStatus
		now      v1alpha1.DevcontainerImageStatus
		end      ending
		want     map[string]string
		finished bool
	}{
		"unknown": {
			end:  ending{err: errors.New("connection refused")},
			want: map[string]string{"LookedUp": "False/LookupFailed", "Ready": "False/AWSError", "Reconciling": "True/AWSError"},
		},
		"project not there": {
			end:  ending{err: outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "project shop does not exist")},
			want: map[string]string{"LookedUp": "False/WaitingForProject", "Ready": "False/WaitingForProject", "Reconciling": "True/WaitingForProject"},
		},
		"hit": {
			now:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit},
			end:  ending{final: true, reason: v1alpha1.ReasonHit},
			want: map[string]string{"LookedUp": "True/Hit", "Ready": "True/Hit"}, finished: true,
		},
		"hit without credentials yet": {
			now:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit},
			end:  ending{err: outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "pull credentials are being made")},
			want: map[string]string{"LookedUp": "True/Hit", "Ready": "False/Progressing", "Reconciling": "True/Progressing"},
		},
		"builder at work": {
			now:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder},
			end:  ending{err: outcome.Waitingf(v1alpha1.ReasonBuilding, time.Second, "this environment is building the image")},
			want: map[string]string{"LookedUp": "True/Miss", "Published": "False/Building", "Ready": "False/Building", "Reconciling": "True/Building"},
		},
		"builder uploads": {
			now: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, PushCredentials: credentials},
			end: ending{err: outcome.Waitingf(v1alpha1.ReasonUploading, time.Second, "the runner is uploading 3 layers")},
			want: map[string]string{"LookedUp": "True/Miss", "Published": "False/Uploading", "PushCredentialsRemoved": "False/Granted",
				"Ready": "False/Uploading", "Reconciling": "True/Uploading"},
		},
		"published": {
			before: v1alpha1.DevcontainerImageStatus{Conditions: removed, PushCredentials: credentials},
			now:    v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder},
			end: ending{final: true, reason: v1alpha1.ReasonPublished,
				publication: &fate{published: true, reason: v1alpha1.ReasonPublished}},
			want: map[string]string{"LookedUp": "True/Miss", "Published": "True/Published", "PushCredentialsRemoved": "True/Removed", "Ready": "True/Published"}, finished: true,
		},
		"rejected": {
			now:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder},
			end:  ending{final: true, reason: v1alpha1.ReasonLabelMismatch, publication: &fate{reason: v1alpha1.ReasonLabelMismatch}},
			want: map[string]string{"LookedUp": "True/Miss", "Published": "False/LabelMismatch", "Ready": "True/LabelMismatch"}, finished: true,
		},
		"build failed": {
			now: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder},
			end: ending{final: true, err: outcome.Terminalf(v1alpha1.ReasonBuildFailed, "RUN make: exit status 2"),
				publication: &fate{reason: v1alpha1.ReasonBuildFailed}},
			want: map[string]string{"LookedUp": "True/Miss", "Published": "False/BuildFailed", "Ready": "False/BuildFailed", "Stalled": "True/BuildFailed"}, finished: true,
		},
		"waiter": {
			now:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter},
			end:  ending{err: outcome.Waitingf(v1alpha1.ReasonWaitingForBuilder, 0, "environment e-1 is building this configuration")},
			want: map[string]string{"LookedUp": "True/Miss", "Ready": "False/WaitingForBuilder", "Reconciling": "True/WaitingForBuilder"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Status: test.before}
			got := statusFor(&pass{image: image, status: test.now, end: test.end, now: fixture.Noon})
			if diff := cmp.Diff(test.want, summaryOf(got)); diff != "" {
				t.Error(diff)
			}
			if got.ObservedGeneration != 3 || (got.FinishedAt != nil) != test.finished {
				t.Errorf("observedGeneration %d, finishedAt %v", got.ObservedGeneration, got.FinishedAt)
			}
		})
	}
}
