package page

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/savings"
	"imagecache.dev/internal/dashboard/timeline"
)

func TestReasonsAreWrittenAsWords(t *testing.T) {
	for reason, want := range map[string]string{
		"": "", "Hit": "hit", "WaitingForBuilder": "waiting for builder", "AWSAccessDenied": "aws access denied", "NoECR": "no ecr",
	} {
		if got := words(reason); got != want {
			t.Errorf("%q reads %q, want %q", reason, got, want)
		}
	}
}

func TestWhatWasSavedIsOneSentence(t *testing.T) {
	for want, test := range map[string]struct {
		days  int
		total savings.Day
	}{
		"In the last 7 days, no environment pulled an image: nothing was saved.":                                       {7, savings.Day{}},
		"Today, 1 environment pulled an image instead of building it, which saved 90s of build time.":                  {1, savings.Day{Avoided: 1, SavedSeconds: 90}},
		"In the last 30 days, 40 environments pulled an image instead of building it, which saved 120m of build time.": {30, savings.Day{Avoided: 40, SavedSeconds: 7200}},
	} {
		if got := savedIn(test.days, test.total); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for seconds, want := range map[float64]string{60: "minutes", 12_000: "hours"} {
		if got, _ := unitFor([]savings.Day{{}, {SavedSeconds: seconds}}); got != want {
			t.Errorf("%v s are drawn in %s", seconds, got)
		}
	}
}

func TestTheAnswerNeedsNoGlossary(t *testing.T) {
	for want, status := range map[string]v1alpha1.DevcontainerImageStatus{
		"The manager has not answered yet.": {},
		"Hit: the image was in the cache.":  {CacheResult: v1alpha1.CacheHit},
		"Bypassed: the cache was not used.": {CacheResult: v1alpha1.CacheBypassed},
		"Miss: the image was not in the cache, and another environment builds it.": {
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter,
		},
		"Miss: the image was not in the cache, and this environment builds it for all.": {
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder,
		},
		"Miss: the image was not in the cache, and this environment builds for itself.": {
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleLocalBuild,
		},
	} {
		if got := answerOf(&v1alpha1.DevcontainerImage{Status: status}); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestEveryStepIsSeen: also one that took no time, and the one that took longest is named.
func TestEveryStepIsSeen(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 12, 0, second, 0, time.UTC) }
	step := func(name string, from, to int) timeline.Step {
		return timeline.Step{Name: name, From: at(from), To: at(to)}
	}
	steps := bars([]timeline.Step{step("Asked", 0, 0), step("Built", 0, 40), step("Ready", 40, 40)})
	var got [][2]float64
	for _, b := range steps {
		got = append(got, [2]float64{b.Start, b.Width})
	}
	if diff := cmp.Diff([][2]float64{{0, thinnest}, {0, 100}, {100 - thinnest, thinnest}}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if found := longest(steps); found == nil || found.Name != "Built" {
		t.Errorf("the longest step is %+v", found)
	}
	if found := longest(bars([]timeline.Step{step("Asked", 0, 0)})); found != nil {
		t.Errorf("of no time at all, the longest step is %+v", found)
	}
}
