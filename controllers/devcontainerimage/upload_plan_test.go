package devcontainerimage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

var uploadBegan = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestUploadRightsAreRenewedWhileTheUploadAdvances(t *testing.T) {
	const kilo, giga = 1_000, 1_000_000_000
	// after are rights with left to go, some time after the first ones, and what was counted.
	after := func(passed, left time.Duration, grants, since, lacked int32, missing ...int64) uploadFacts {
		return uploadFacts{granted: true, left: left, now: uploadBegan.Add(passed), missing: missing, upload: &v1alpha1.UploadStatus{
			StartedAt: metav1.NewTime(uploadBegan), Grants: grants, GrantsSinceProgress: since, MissingLayers: lacked,
		}}
	}
	unseen := func(in uploadFacts) uploadFacts { in.granted, in.left = false, 0; return in }
	uncounted := func(in uploadFacts) uploadFacts { in.upload = nil; return in }
	for name, test := range map[string]struct {
		in   uploadFacts
		want uploadStep
		why  string
	}{
		"there are none yet": {uploadFacts{now: uploadBegan, missing: []int64{kilo}}, uploadGrant, ""},
		"they last":          {after(5*time.Minute, 10*time.Minute, 1, 1, 5, kilo), uploadWait, ""},
		"they end soon, and a layer came": {
			after(12*time.Minute, renewBefore, 1, 1, 2, kilo), uploadGrant, ""},
		"they end soon, and none came yet": {
			after(12*time.Minute, time.Second, 1, 1, 1, kilo), uploadWait, ""},
		"they ended, and one came at the last moment": {
			after(15*time.Minute, 0, 1, 1, 2, kilo), uploadGrant, ""},
		"they ended, and none came": {
			after(15*time.Minute, 0, 1, 1, 1, kilo), uploadEnd,
			"the runner completed no layer for 15 minutes; 1 layer of 0.0 MB is missing"},
		"the manager saw it late": {
			after(2*time.Hour, -time.Hour, 2, 1, 2, kilo, giga/2), uploadEnd,
			"the runner completed no layer for 15 minutes; 2 layers are missing, the smallest of 0.0 MB"},
		"more are missing than before": {
			after(time.Hour, 0, 3, 1, 2, kilo, kilo, kilo), uploadEnd, "3 layers are missing"},
		"as large as one grant takes": {
			after(15*time.Minute, 0, 1, 1, 1, 720_000_000), uploadEnd, "no layer for 15 minutes"},
		"larger than one grant takes": {
			after(14*time.Minute, time.Minute, 1, 1, 1, 720_000_001), uploadGrant, ""},
		"10 GiB take three hours": {
			after(4*time.Hour, time.Minute, 20, 14, 1, 10<<30), uploadGrant, ""},
		"and not longer": {
			after(4*time.Hour, 0, 21, 15, 1, 10<<30), uploadEnd,
			"the runner completed no layer for 183 minutes; 1 layer of 10737.4 MB is missing"},
		"a small layer before a large one": {
			after(time.Hour, 0, 2, 2, 2, 10<<30, kilo), uploadEnd, "the smallest of 0.0 MB"},
		"it trickles for six hours": {
			after(5*time.Hour, time.Minute, 30, 1, 9, kilo), uploadWait, ""},
		"and no longer": {
			after(5*time.Hour, 0, 30, 1, 9, kilo), uploadEnd, "the upload did not end within 6 hours; 1 layer of"},
		"six hours by the clock, whatever the count": {
			after(6*time.Hour, 0, 3, 1, 9, kilo), uploadEnd, "the upload did not end within 6 hours; 1 layer of"},
		"four minutes are left of the six hours": {
			after(6*time.Hour-4*time.Minute, time.Minute, 3, 1, 9, kilo), uploadGrant, ""},
		"three minutes are left of the six hours": {
			after(6*time.Hour-3*time.Minute, time.Minute, 3, 1, 9, kilo), uploadWait, ""},
		"a manifest that lies about sizes": {
			after(5*time.Hour, 0, 30, 30, 1, 52000<<20), uploadEnd, "did not end within 6 hours"},
		"they were counted, and the manager ended before it granted them": {
			unseen(after(time.Minute, 0, 1, 1, 1, kilo)), uploadGrant, ""},
		"and so for six hours": {
			unseen(after(6*time.Hour, 0, 3, 1, 1, kilo)), uploadEnd, "did not end within 6 hours"},
		"and so for 30 times": {
			unseen(after(time.Hour, 0, 30, 1, 1, kilo)), uploadEnd, "did not end within 6 hours"},
		"nothing counts them, and they end soon": {
			uncounted(after(time.Hour, time.Minute, 1, 1, 9, 10<<30)), uploadWait, ""},
		"nothing counts them, and they ended": {
			uncounted(after(time.Hour, 0, 1, 1, 9, 10<<30)), uploadEnd,
			"the runner did not upload the layers within 15 minutes; 1 layer of 10737.4 MB is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			step, why := planUpload(test.in)
			if step != test.want || !strings.Contains(why, test.why) || (why == "") != (test.why == "") {
				t.Errorf("it is %s: %q; want %s: %q", step, why, test.want, test.why)
			}
		})
	}
}

func TestGrantsAreCountedSinceTheLastProgress(t *testing.T) {
	missing := [][]int64{{1, 2, 3}, {1, 2, 3}, {2, 3}, {1, 2, 3}, {2, 3}, {3}}
	began := metav1.NewTime(uploadBegan)
	want := []v1alpha1.UploadStatus{
		{StartedAt: began, Grants: 1, GrantsSinceProgress: 1, MissingLayers: 3},
		{StartedAt: began, Grants: 2, GrantsSinceProgress: 2, MissingLayers: 3},
		{StartedAt: began, Grants: 3, GrantsSinceProgress: 1, MissingLayers: 2},
		// A layer that ECR lost and gets again is no progress.
		{StartedAt: began, Grants: 4, GrantsSinceProgress: 2, MissingLayers: 2},
		{StartedAt: began, Grants: 5, GrantsSinceProgress: 3, MissingLayers: 2},
		{StartedAt: began, Grants: 6, GrantsSinceProgress: 1, MissingLayers: 1},
	}
	var upload *v1alpha1.UploadStatus
	for n := range missing {
		now := uploadBegan.Add(time.Duration(n)*grantLasts + time.Millisecond)
		upload = nextUpload(uploadFacts{upload: upload, now: now, missing: missing[n]})
		if diff := cmp.Diff(want[n], *upload); diff != "" {
			t.Errorf("grant %d (-want +got):\n%s", n+1, diff)
		}
	}
}
