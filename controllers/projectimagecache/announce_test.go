package projectimagecache

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

func TestDriftIsToldAndCountedByKindOnceItIsPutRight(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Recorder: recorder, drifted: map[types.UID][]drift.Finding{}}
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "a", UID: "uid-1"}}
	mutable, tags := drift.Finding{Action: drift.ActionSetImmutable, Text: "image tags were mutable"}, drift.Finding{Action: drift.ActionSetTags, Text: "tags were missing"}
	policy := drift.Finding{Action: drift.ActionSetRepositoryPolicy, Text: "the repository policy was changed"}
	plan := func(found ...drift.Finding) *repositoryPlan { return &repositoryPlan{found: found} }
	no := errors.New("throttled")
	for _, pass := range []struct {
		name  string
		facts projectFacts
		want  []string
	}{
		{"one part fails", projectFacts{repository: &ecr.Repository{}, plan: plan(mutable, tags, policy), tagsErr: no, policyErr: no}, []string{"SetImmutable"}},
		{"it fails again, and is found by half", projectFacts{repository: &ecr.Repository{}, plan: plan(tags), tagsErr: no, policyErr: no}, nil},
		{"the repository can't be read", projectFacts{repositoryErr: no}, nil},
		{"the runner is refused", projectFacts{refused: no}, nil},
		{"both succeed, and one is found again", projectFacts{repository: &ecr.Repository{}, plan: plan(tags)}, []string{"SetRepositoryPolicy", "SetTags"}},
		{"nothing is left", projectFacts{repository: &ecr.Repository{}, plan: plan()}, nil},
	} {
		want := map[string]float64{}
		for _, action := range pass.want {
			want["drift_corrected_total["+action+" a]"] = 1
		}
		counts, made := fixture.Told(t, recorder, func() { r.announceDrift(project, &pass.facts) })
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("%s: counted (-want +got):\n%s", pass.name, diff)
		}
		if len(made) != len(pass.want) {
			t.Errorf("%s: told %v", pass.name, made)
		}
	}
	if len(r.drifted) != 0 {
		t.Errorf("still kept in mind: %v", r.drifted)
	}
}

func TestBlindDriftWatchIsToldOnceAndCountedEachTime(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	watch := &driftWatch{reconciler: &Reconciler{Recorder: recorder}, blind: map[aws.Target]bool{}}
	runner, target := &v1alpha1.RunnerImageCache{}, aws.Target{Region: "eu-x-1"}
	for n, test := range []struct {
		err    error
		count  string
		events []string
	}{
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", []string{"Warning DriftNotSeen"}},
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", nil},
		{nil, "drift_comparisons_total[Succeeded eu-x-1]", nil},
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", []string{"Warning DriftNotSeen"}},
	} {
		counts, made := fixture.Told(t, recorder, func() { watch.announce(t.Context(), runner, target, test.err) })
		if diff := cmp.Diff(map[string]float64{test.count: 1}, counts); diff != "" {
			t.Errorf("comparison %d counted (-want +got):\n%s", n, diff)
		}
		if diff := cmp.Diff(test.events, made); diff != "" {
			t.Errorf("comparison %d made the events (-want +got):\n%s", n, diff)
		}
	}
}
