package timeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) metav1.Time {
	return metav1.NewTime(noon.Add(time.Duration(seconds) * time.Second))
}

func is(kind string, status metav1.ConditionStatus, reason string, seconds int) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "message", LastTransitionTime: at(seconds)}
}

// brief is a step in a row of a table: from and to in seconds after noon.
type brief struct {
	Name     string
	State    State
	From, To int
}

func TestStepsOfARequest(t *testing.T) {
	answered := is(v1alpha1.ConditionLookedUp, metav1.ConditionTrue, "Miss", 1)
	hit := v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheHit, Image: &v1alpha1.CachedImage{}, FinishedAt: ptr.To(at(1)),
		Conditions: []metav1.Condition{answered, is(v1alpha1.ConditionReady, metav1.ConditionTrue, "Hit", 1)},
	}
	pulled := hit
	pulled.Conditions = append([]metav1.Condition{is(v1alpha1.ConditionPulled, metav1.ConditionTrue, "Succeeded", 9)}, hit.Conditions...)
	building := v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, Builder: &v1alpha1.BuilderReference{StartedAt: ptr.To(at(2))},
		Conditions: []metav1.Condition{answered},
	}
	uploading := building
	uploading.Upload = &v1alpha1.UploadStatus{StartedAt: at(40)}
	published := uploading
	published.FinishedAt = ptr.To(at(50))
	published.Conditions = []metav1.Condition{answered, is(v1alpha1.ConditionPublished, metav1.ConditionTrue, "Published", 50)}
	refused := uploading
	refused.FinishedAt = ptr.To(at(50))
	refused.Conditions = []metav1.Condition{
		answered, is(v1alpha1.ConditionPublished, metav1.ConditionFalse, "UploadTimedOut", 50),
		is(v1alpha1.ConditionReady, metav1.ConditionFalse, "UploadTimedOut", 50),
	}
	waiting := v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter, Builder: &v1alpha1.BuilderReference{Name: "b", EnvironmentID: "env-1"},
		Conditions: []metav1.Condition{answered},
	}
	build := &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, DurationSeconds: ptr.To(int64(30))}
	failed := &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(int64(30))}
	for name, test := range map[string]struct {
		spec   v1alpha1.DevcontainerImageSpec
		status v1alpha1.DevcontainerImageStatus
		want   []brief
	}{
		"not answered": {status: v1alpha1.DevcontainerImageStatus{}, want: []brief{{"Asked", Done, 0, 0}, {"Answered", Running, 0, 100}}},
		"a hit that is being pulled": {status: hit, want: []brief{
			{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Pulled", Running, 1, 100},
		}},
		"a hit that was pulled": {
			spec:   v1alpha1.DevcontainerImageSpec{Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded, DurationSeconds: ptr.To(int64(7))}},
			status: pulled,
			want:   []brief{{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Pulled", Done, 2, 9}, {"Ready", Done, 9, 9}},
		},
		"building": {status: building, want: []brief{{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Built", Running, 2, 100}}},
		"a failed build": {spec: v1alpha1.DevcontainerImageSpec{Build: failed}, status: building, want: []brief{
			{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Built", Failed, 2, 32},
		}},
		"uploading": {spec: v1alpha1.DevcontainerImageSpec{Build: build}, status: uploading, want: []brief{
			{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Built", Done, 2, 32}, {"Uploaded", Running, 40, 100},
		}},
		"published": {spec: v1alpha1.DevcontainerImageSpec{Build: build}, status: published, want: []brief{
			{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Built", Done, 2, 32}, {"Uploaded", Done, 40, 50},
			{"Published", Done, 50, 50}, {"Ready", Done, 50, 50},
		}},
		"not published": {spec: v1alpha1.DevcontainerImageSpec{Build: build}, status: refused, want: []brief{
			{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Built", Done, 2, 32}, {"Uploaded", Done, 40, 50},
			{"Published", Failed, 50, 50}, {"Ended", Failed, 50, 50},
		}},
		"waiting": {status: waiting, want: []brief{{"Asked", Done, 0, 0}, {"Answered", Done, 0, 1}, {"Waited", Running, 1, 100}}},
	} {
		t.Run(name, func(t *testing.T) {
			request := &v1alpha1.DevcontainerImage{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(0)}, Spec: test.spec, Status: test.status,
			}
			var got []brief
			for _, step := range Of(request, noon.Add(100*time.Second)) {
				if step.Text == "" {
					t.Errorf("%s has no text", step.Name)
				}
				got = append(got, brief{step.Name, step.State, int(step.From.Sub(noon).Seconds()), int(step.To.Sub(noon).Seconds())})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}
