package runner

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

func is(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

var (
	ready       = is(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonHit, "found")
	cachedImage = &v1alpha1.CachedImage{Reference: "r@sha256:1"}
	credentials = &v1alpha1.CredentialReference{SecretName: "pull"}
)

func TestDecide(t *testing.T) {
	type status = v1alpha1.DevcontainerImageStatus
	tests := map[string]struct {
		status status
		want   decision
	}{
		"nothing yet": {status{}, decision{Step: stepAwaitAnswer}},
		"the lookup failed, which is no answer": {
			status{Conditions: []metav1.Condition{is(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, "Throttled", "slow down")}},
			decision{stepAwaitAnswer, "Throttled: slow down"},
		},
		"the request can't be answered for good": {
			status{Conditions: []metav1.Condition{is(v1alpha1.ConditionStalled, metav1.ConditionTrue, "KeyInputsNeedWorkspace", "send configHash")}},
			decision{stepBuild, "KeyInputsNeedWorkspace: send configHash"},
		},
		"hit without credentials yet": {
			status{CacheResult: v1alpha1.CacheHit, Image: cachedImage, Conditions: []metav1.Condition{
				is(v1alpha1.ConditionReady, metav1.ConditionFalse, "Progressing", "credentials are being made")}},
			decision{stepAwaitImage, "Progressing: credentials are being made"},
		},
		"hit": {
			status{CacheResult: v1alpha1.CacheHit, Reason: "ImageFound", Explanation: "of 3 h ago", Image: cachedImage,
				PullCredentials: credentials, Conditions: []metav1.Condition{ready}},
			decision{stepPull, "ImageFound: of 3 h ago"},
		},
		"hit that is stalled": {
			status{CacheResult: v1alpha1.CacheHit, Conditions: []metav1.Condition{
				is(v1alpha1.ConditionStalled, metav1.ConditionTrue, "AccessDenied", "no")}},
			decision{stepBuild, "AccessDenied: no"},
		},
		"ready without an image and finished": {
			status{CacheResult: v1alpha1.CacheHit, FinishedAt: &metav1.Time{}, Conditions: []metav1.Condition{ready}},
			decision{stepBuild, "Hit: found"},
		},
		"miss without a role yet": {
			status{CacheResult: v1alpha1.CacheMiss, Reason: "ImageNotFound"},
			decision{stepAwaitAnswer, "ImageNotFound: no image is cached for this configuration"},
		},
		"builder without a lease yet": {
			status{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder},
			decision{stepAwaitAnswer, "no image is cached for this configuration"},
		},
		"builder": {
			status{CacheResult: v1alpha1.CacheMiss, Reason: "Expired", Explanation: "too old", Role: v1alpha1.RoleBuilder, Builder: &v1alpha1.BuilderReference{}},
			decision{stepBuildAndPublish, "Expired: too old"},
		},
		"waiter": {
			status{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter},
			decision{Step: stepAwaitBuilder},
		},
		"waiter whose builder is done": {
			status{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter, Image: cachedImage, PullCredentials: credentials, Conditions: []metav1.Condition{ready}},
			decision{Step: stepPull},
		},
		"rebuild": {
			status{CacheResult: v1alpha1.CacheMiss, Reason: "ImageNotFound", Explanation: "none", Role: v1alpha1.RoleLocalBuild, Conditions: []metav1.Condition{ready}},
			decision{stepBuild, "ImageNotFound: none"},
		},
		"bypassed": {
			status{CacheResult: v1alpha1.CacheBypassed, Reason: "CacheDisabled", Explanation: "switched off"},
			decision{stepBuild, "CacheDisabled: switched off"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := decide(&v1alpha1.DevcontainerImage{Status: test.status})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecidePublish(t *testing.T) {
	type status = v1alpha1.DevcontainerImageStatus
	published := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{is(v1alpha1.ConditionPublished, status, reason, "so")}
	}
	tests := map[string]struct {
		status  status
		attempt int32
		want    publishDecision
	}{
		"report not seen yet": {status{}, 0, publishDecision{State: publishAwait}},
		"upload": {
			status{PushCredentials: credentials, MissingLayers: []string{"a"}, Conditions: published("False", "Uploading")}, 0,
			publishDecision{State: publishUpload},
		},
		"uploaded, not looked at yet": {
			status{PushCredentials: credentials, MissingLayers: []string{"a"}}, 1, publishDecision{State: publishAwait},
		},
		"uploaded, and layers are missing again": {
			status{PushCredentials: credentials, MissingLayers: []string{"a"}, ObservedUploadAttempt: ptr.To(int32(1))}, 1,
			publishDecision{State: publishUpload},
		},
		"AWS denies a call for now": {status{Conditions: published("False", "AccessDenied")}, 0, publishDecision{State: publishAwait}},
		"published":                 {status{Conditions: published("True", "Published")}, 0, publishDecision{publishDone, "Published: so"}},
		"another image was first":   {status{Conditions: published("False", "Adopted")}, 0, publishDecision{publishRefused, "Adopted: so"}},
		"refused":                   {status{Conditions: published("False", "KeyIncomplete")}, 0, publishDecision{publishRefused, "KeyIncomplete: so"}},
		"stalled": {
			status{Conditions: []metav1.Condition{is(v1alpha1.ConditionStalled, "True", "LabelMismatch", "wrong")}}, 0,
			publishDecision{publishRefused, "LabelMismatch: wrong"},
		},
		"finished without a word": {
			status{FinishedAt: &metav1.Time{}}, 0, publishDecision{publishRefused, "the cache ended without publishing it"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := decidePublish(&v1alpha1.DevcontainerImage{Status: test.status}, test.attempt)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWaitLimit(t *testing.T) {
	expects := func(seconds int64) *v1alpha1.BuilderReference {
		return &v1alpha1.BuilderReference{ExpectedSeconds: &seconds}
	}
	tests := map[string]struct {
		asked   time.Duration
		builder *v1alpha1.BuilderReference
		want    time.Duration
	}{
		"unknown":     {0, nil, 10 * time.Minute},
		"short build": {0, expects(30), 10 * time.Minute},
		"long build":  {0, expects(1800), time.Hour},
		"as asked":    {time.Second, expects(1800), time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := waitLimit(test.asked, test.builder); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAWaiterDoesNotOutwaitALongUpload(t *testing.T) {
	long := &v1alpha1.BuilderReference{Name: "b", UploadingSince: &metav1.Time{Time: time.Now()}}
	for name, test := range map[string]struct {
		request Request
		builder *v1alpha1.BuilderReference
		want    bool
	}{
		"it builds":                           {Request{}, &v1alpha1.BuilderReference{Name: "b"}, false},
		"nothing is known of it":              {Request{}, nil, false},
		"it has uploaded for long":            {Request{}, long, true},
		"and was to be waited for":            {Request{WaitTimeout: time.Hour}, long, false},
		"and nobody waits for the prebuild's": {Request{Trigger: v1alpha1.TriggerPrebuild}, long, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.request.outlasted(test.builder); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
