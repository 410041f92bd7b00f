package devcontainerimage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/api/v1alpha1"
)

func TestUploadRightsAreRenewedWhileTheUploadAdvances(t *testing.T) {
	const kilo, giga = 1_000, 1_000_000_000
	before := func(grants, since, missing int32) v1alpha1.UploadStatus {
		return v1alpha1.UploadStatus{Grants: grants, GrantsSinceProgress: since, MissingLayers: missing}
	}
	for name, test := range map[string]struct {
		in   uploadFacts
		want uploadStep
		why  string
	}{
		"they last": {uploadFacts{10 * time.Minute, before(1, 1, 5), []int64{kilo}}, uploadWait, ""},
		"they end soon, and a layer came": {
			uploadFacts{renewBefore, before(1, 1, 2), []int64{kilo}}, uploadRenew, ""},
		"they end soon, and none came yet": {
			uploadFacts{time.Second, before(1, 1, 1), []int64{kilo}}, uploadWait, ""},
		"they ended, and one came at the last moment": {
			uploadFacts{0, before(1, 1, 2), []int64{kilo}}, uploadRenew, ""},
		"they ended, and none came": {
			uploadFacts{0, before(1, 1, 1), []int64{kilo}}, uploadEnd,
			"the runner completed no layer for 15 minutes; 1 layer of 0.0 MB is missing"},
		"the manager saw it late": {
			uploadFacts{-time.Hour, before(2, 1, 2), []int64{kilo, giga / 2}}, uploadEnd,
			"the runner completed no layer for 15 minutes; 2 layers are missing, the smallest of 0.0 MB"},
		"more are missing than before": {
			uploadFacts{0, before(3, 1, 2), []int64{kilo, kilo, kilo}}, uploadEnd, "3 layers are missing"},
		"as large as one grant takes": {
			uploadFacts{0, before(1, 1, 1), []int64{720_000_000}}, uploadEnd, "no layer for 15 minutes"},
		"larger than one grant takes": {
			uploadFacts{time.Minute, before(1, 1, 1), []int64{720_000_001}}, uploadRenew, ""},
		"10 GiB take three hours": {
			uploadFacts{time.Minute, before(20, 14, 1), []int64{10 << 30}}, uploadRenew, ""},
		"and not longer": {
			uploadFacts{0, before(21, 15, 1), []int64{10 << 30}}, uploadEnd,
			"the runner completed no layer for 183 minutes; 1 layer of 10737.4 MB is missing"},
		"a small layer before a large one": {
			uploadFacts{0, before(2, 2, 2), []int64{10 << 30, kilo}}, uploadEnd, "the smallest of 0.0 MB"},
		"it trickles for six hours": {
			uploadFacts{time.Minute, before(30, 1, 9), []int64{kilo}}, uploadWait, ""},
		"and no longer": {
			uploadFacts{0, before(30, 1, 9), []int64{kilo}}, uploadEnd, "the upload did not end within 6 hours; 1 layer of"},
		"a manifest that lies about sizes": {
			uploadFacts{0, before(30, 30, 1), []int64{52000 << 20}}, uploadEnd, "did not end within 6 hours"},
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
	want := []v1alpha1.UploadStatus{
		{Grants: 1, GrantsSinceProgress: 1, MissingLayers: 3},
		{Grants: 2, GrantsSinceProgress: 2, MissingLayers: 3},
		{Grants: 3, GrantsSinceProgress: 1, MissingLayers: 2},
		{Grants: 4, GrantsSinceProgress: 2, MissingLayers: 2}, // a layer that ECR lost and gets again is no progress
		{Grants: 5, GrantsSinceProgress: 3, MissingLayers: 2},
		{Grants: 6, GrantsSinceProgress: 1, MissingLayers: 1},
	}
	var upload *v1alpha1.UploadStatus
	for n := range missing {
		upload = nextUpload(upload, missing[n])
		if diff := cmp.Diff(want[n], *upload); diff != "" {
			t.Errorf("grant %d (-want +got):\n%s", n+1, diff)
		}
	}
}
