package projectimagecache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

const day = 24 * time.Hour

// daysAgo is a time so many days before noon.
func daysAgo(days float64) time.Time { return fixture.Noon.Add(-time.Duration(days * float64(day))) }

func stampOf(at time.Time) *metav1.Time { return ptr.To(metav1.NewTime(at)) }

// hashNamed is a tag of the cache's form, of one character.
func hashNamed(character string) string { return strings.Repeat(character, 64) }

func TestPlanUnused(t *testing.T) {
	before := daysAgo(8) // a limit of seven days, and a day in which ECR may not have recorded a pull
	image := func(tag string, pushed, pulled float64) ecr.Image {
		made := ecr.Image{Digest: "of " + tag[:1], Tags: []string{tag}, PushedAt: daysAgo(pushed)}
		if pulled > 0 {
			made.LastPulledAt = daysAgo(pulled)
		}
		return made
	}
	request := func(change func(*v1alpha1.DevcontainerImage)) []v1alpha1.DevcontainerImage {
		made := v1alpha1.DevcontainerImage{}
		made.Spec.ConfigHash, made.Status.ConfigHash = hashNamed("e"), hashNamed("e")
		change(&made)
		return []v1alpha1.DevcontainerImage{made}
	}
	finished := func(days float64) func(*v1alpha1.DevcontainerImage) {
		return func(r *v1alpha1.DevcontainerImage) { r.Status.FinishedAt = stampOf(daysAgo(days)) }
	}
	for name, test := range map[string]struct {
		images   []ecr.Image
		requests []v1alpha1.DevcontainerImage
		want     []string
		more     bool
	}{
		"never pulled, published long ago":          {[]ecr.Image{image(hashNamed("e"), 9, 0)}, nil, []string{"of e"}, false},
		"never pulled, published a week ago":        {[]ecr.Image{image(hashNamed("e"), 7.5, 0)}, nil, nil, false},
		"pulled long ago":                           {[]ecr.Image{image(hashNamed("e"), 20, 8.1)}, nil, []string{"of e"}, false},
		"pulled a week ago, as ECR may know later":  {[]ecr.Image{image(hashNamed("e"), 20, 7.9)}, nil, nil, false},
		"a new publication counts, not an old pull": {[]ecr.Image{image(hashNamed("e"), 1, 20)}, nil, nil, false},
		"the longest unused first, three in a pass": {
			[]ecr.Image{image(hashNamed("a"), 20, 10), image(hashNamed("b"), 12, 0), image(hashNamed("c"), 30, 0), image(hashNamed("d"), 9, 0)},
			nil, []string{"of c", "of b", "of a"}, true,
		},
		"no tag":                   {[]ecr.Image{{Digest: "untagged", PushedAt: daysAgo(20)}}, nil, nil, false},
		"a tag of somebody else":   {[]ecr.Image{image("latest", 20, 0)}, nil, nil, false},
		"somebody else's tag, too": {[]ecr.Image{{Digest: "both", Tags: []string{hashNamed("e"), "keep"}, PushedAt: daysAgo(20)}}, nil, nil, false},
		"a request that is open":   {[]ecr.Image{image(hashNamed("e"), 20, 0)}, request(func(*v1alpha1.DevcontainerImage) {}), nil, false},
		"a request that is not answered": {[]ecr.Image{image(hashNamed("e"), 20, 0)}, request(func(r *v1alpha1.DevcontainerImage) {
			r.Status = v1alpha1.DevcontainerImageStatus{}
		}), nil, false},
		"a pull that may still run":  {[]ecr.Image{image(hashNamed("e"), 20, 0)}, request(finished(0.01)), nil, false},
		"a request of long ago":      {[]ecr.Image{image(hashNamed("e"), 20, 0)}, request(finished(9)), []string{"of e"}, false},
		"a request for another hash": {[]ecr.Image{image(hashNamed("f"), 20, 0)}, request(finished(0.01)), []string{"of f"}, false},
		"a build that takes its layers": {[]ecr.Image{image(hashNamed("f"), 20, 0)}, request(func(r *v1alpha1.DevcontainerImage) {
			r.Status.LayersFrom = &v1alpha1.LayerSource{ConfigHash: hashNamed("f")}
		}), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			demand := newDemand(test.images, daysAgo(99), before, fixture.Noon)
			for n := range test.requests {
				demand.add(&test.requests[n])
			}
			remove, more := planUnused(test.images, demand.hashes, before, 3)
			var got []string
			for _, image := range remove {
				got = append(got, image.Digest)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || more != test.more {
				t.Errorf("more is %t, images (-want +got):\n%s", more, diff)
			}
			if left := without(test.images, remove); len(left) != len(test.images)-len(remove) {
				t.Errorf("%d images are left", len(left))
			}
		})
	}
}

func TestUnusedImagesNeedTimeInWhichTheyCouldBePulled(t *testing.T) {
	for name, test := range map[string]struct {
		days    *int32
		enabled *metav1.Time
		want    time.Time
	}{
		"no limit":              {nil, stampOf(daysAgo(99)), time.Time{}},
		"the cache is off":      {ptr.To(int32(7)), nil, time.Time{}},
		"on for a week":         {ptr.To(int32(7)), stampOf(daysAgo(9)), time.Time{}},
		"on for more than that": {ptr.To(int32(7)), stampOf(daysAgo(9.1)), daysAgo(9)},
	} {
		if got := unusedBefore(test.days, test.enabled, fixture.Noon); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestEnabledAt(t *testing.T) {
	week := ptr.To(int32(7))
	for name, test := range map[string]struct {
		days     *int32
		disabled bool
		known    *metav1.Time
		readAt   *metav1.Time // of the last count
		counted  bool         // again, now
		lost     string       // an image that was pulled without a record
		want     *metav1.Time
	}{
		"the limit was just set":            {week, false, nil, stampOf(daysAgo(20)), false, "", stampOf(fixture.Noon)},
		"no limit":                          {nil, false, stampOf(daysAgo(9)), stampOf(daysAgo(1)), true, "", nil},
		"counted a day ago":                 {week, false, stampOf(daysAgo(9)), stampOf(daysAgo(1)), true, "", stampOf(daysAgo(9))},
		"counted 23 hours ago":              {week, false, stampOf(daysAgo(9)), stampOf(daysAgo(23. / 24)), true, "", stampOf(daysAgo(9))},
		"counted 25 hours ago":              {week, false, stampOf(daysAgo(9)), stampOf(daysAgo(25. / 24)), true, "", stampOf(fixture.Noon)},
		"counts fail for days":              {week, false, stampOf(daysAgo(9)), stampOf(daysAgo(3)), false, "", stampOf(daysAgo(9))},
		"the figures did not hold any more": {week, false, stampOf(daysAgo(9)), nil, true, "", stampOf(fixture.Noon)},
		"a pull without a record":           {week, false, stampOf(daysAgo(9)), stampOf(daysAgo(1)), true, "sha256:1", stampOf(fixture.Noon)},
		"the cache is off":                  {week, true, stampOf(daysAgo(9)), stampOf(daysAgo(1)), true, "", nil},
		"on again, and not counted yet":     {week, false, nil, stampOf(daysAgo(1)), false, "", stampOf(fixture.Noon)},
	} {
		project := testProject(func(p *v1alpha1.ProjectImageCache) {
			p.Spec.ExpireUnusedAfterDays, p.Status.EnabledAt = test.days, test.known
			p.Spec.RetentionDays, p.Generation = ptr.To(int32(99)), 5 // an edit alone changes nothing
			p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: test.readAt, OldestExpiresAt: stampOf(daysAgo(-10))}
		})
		got := enabledAt(project, &projectFacts{now: fixture.Noon, disabled: test.disabled, counted: test.counted, unrecorded: test.lost})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

// Time in which no environment could pull is no disuse, whatever keeps them from it.
func TestImagesAreNotUnusedWhileNobodyCanPull(t *testing.T) {
	denied, known := errors.New("AccessDenied"), stampOf(daysAgo(9))
	for name, test := range map[string]struct {
		facts projectFacts
		pull  []metav1.Condition
		want  *metav1.Time
	}{
		"nobody asks":                       {projectFacts{counted: true}, nil, known},
		"credentials exist":                 {projectFacts{counted: true}, pullCondition(metav1.ConditionTrue, v1alpha1.ReasonSucceeded), known},
		"credentials last, not for long":    {projectFacts{counted: true}, pullCondition(metav1.ConditionFalse, v1alpha1.ReasonRefreshFailed), known},
		"credentials have run out":          {projectFacts{counted: true}, pullCondition(metav1.ConditionFalse, v1alpha1.ReasonCredentialsExpired), stampOf(fixture.Noon)},
		"the first credentials are refused": {projectFacts{counted: true}, pullCondition(metav1.ConditionFalse, v1alpha1.ReasonAccessDenied), stampOf(fixture.Noon)},
		"the policy can't be set":           {projectFacts{counted: true, policyErr: denied}, nil, stampOf(fixture.Noon)},
		"tags are mutable":                  {projectFacts{counted: true, repositoryErr: denied}, nil, stampOf(fixture.Noon)},
		"the images are not counted now":    {projectFacts{policyErr: denied}, nil, known},
	} {
		project := testProject(func(p *v1alpha1.ProjectImageCache) {
			p.Spec.ExpireUnusedAfterDays, p.Status.EnabledAt, p.Status.Conditions = ptr.To(int32(7)), known, test.pull
			p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: stampOf(daysAgo(0.9))}
		})
		test.facts.now = fixture.Noon
		if diff := cmp.Diff(test.want, enabledAt(project, &test.facts)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func pullCondition(status metav1.ConditionStatus, reason string) []metav1.Condition {
	return fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, status, reason)
}

// life simulates a project with one image, hour by hour, and returns the day of the image's removal, or zero if it stays
// for the 40 days of the simulation. pulls and outages are in days; ECR records a pull with a delay of hours.
func life(limit int32, pulls []float64, outages [][2]float64, delay time.Duration) float64 {
	begin := fixture.Noon
	project := testProject(func(p *v1alpha1.ProjectImageCache) {
		p.Spec.ExpireUnusedAfterDays, p.Spec.RetentionDays = &limit, ptr.To(int32(90))
		p.Status.EnabledAt = stampOf(begin.Add(-90 * day))
		p.Status.Images = statistics([]ecr.Image{{PushedAt: begin}}, 90, 0.10, begin)
	})
	for hour := range 40 * 24 {
		at := float64(hour) / 24
		if slices.ContainsFunc(outages, func(outage [2]float64) bool { return at >= outage[0] && at < outage[1] }) {
			continue
		}
		now := begin.Add(time.Duration(hour) * time.Hour)
		if wait, wanted := countDue(project, nil, time.Time{}, now, time.Minute); !wanted || wait > 0 {
			continue
		}
		image := ecr.Image{Digest: "d", Tags: []string{hashNamed("e")}, PushedAt: begin}
		for _, pull := range pulls {
			if pulled := begin.Add(time.Duration(pull * float64(day))); !now.Before(pulled.Add(delay)) {
				image.LastPulledAt = pulled
			}
		}
		facts := &projectFacts{now: now, plan: &repositoryPlan{}, counted: true, statistics: statistics([]ecr.Image{image}, 90, 0.10, now)}
		before := unusedBefore(&limit, enabledAt(project, facts), now)
		if unused, _ := planUnused([]ecr.Image{image}, nil, before, 1); !before.IsZero() && len(unused) > 0 {
			return at
		}
		project.Status = projectStatus(project, facts)
	}
	return 0
}

// An image that environments use at least as often as the limit asks stays, whatever the manager's outages are: while it
// is down, nobody can pull.
func TestOutagesDoNotRemoveImagesInUse(t *testing.T) {
	for name, test := range map[string]struct {
		limit   int32
		pulls   []float64
		outages [][2]float64
		from    float64 // not earlier than this is the image removed
	}{
		"an outage before the first image can be unused": {7, []float64{0.3}, [][2]float64{{1, 8.9}}, 8.9 + 7},
		"an outage of two days with a limit of one day":  {1, []float64{2, 4, 6, 8, 9.9}, [][2]float64{{10, 12}}, 12 + 1},
		"an outage of a day that no count shows":         {1, []float64{1, 2, 3, 4, 6, 7}, [][2]float64{{4.6, 5.4}}, 7 + 1},
		"one outage after the other":                     {3, []float64{0.5}, [][2]float64{{1, 4}, {5, 8}, {9, 12}}, 12 + 3},
	} {
		for _, delay := range []time.Duration{0, 23 * time.Hour} {
			removed := life(test.limit, test.pulls, test.outages, delay)
			if removed < test.from || removed > test.from+4 {
				t.Errorf("%s: removed on day %.1f, want it from day %.1f on (ECR records after %s)", name, removed, test.from, delay)
			}
		}
	}
}

func TestWhatAPassDidIsTold(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Recorder: recorder, drifted: map[types.UID][]drift.Finding{}}
	seen, known := &ecr.Repository{Name: "shop"}, testProject()
	project := testProject(func(p *v1alpha1.ProjectImageCache) {
		p.Spec.ExpireUnusedAfterDays, p.Spec.InvalidatePushedBefore, p.Status.Repository = ptr.To(int32(7)), stampOf(fixture.Noon), nil
	})
	no := fmt.Errorf("delete images: %w", errors.New("no"))
	desired := desiredRepository{name: "shop"}
	r.announceDone(project, &projectFacts{unused: 3, invalidated: 4, expired: 5})
	r.announceDone(project, &projectFacts{desired: desired, repository: seen, plan: &repositoryPlan{create: true}})
	r.announceDone(known, &projectFacts{desired: desired, repository: seen, plan: &repositoryPlan{create: true}}) // it is drift
	r.announceDone(project, &projectFacts{desired: desired, repository: seen, plan: &repositoryPlan{adopt: true}, repositoryErr: no, tagsErr: no})
	r.announceDone(project, &projectFacts{desired: desired, repository: seen, plan: &repositoryPlan{adopt: true}})
	r.announceDone(project, &projectFacts{repositoryErr: no})
	before := project.Status.DeepCopy()
	r.announce(project, before, &projectFacts{unrecorded: "sha256:1", unused: 3, desired: desired, repository: seen, plan: &repositoryPlan{create: true}})
	r.announce(project, before, &projectFacts{unusedErr: no})
	for _, want := range []string{
		"Normal ImagesInvalidated removed 4 images that were published before 2026-",
		"Normal UnusedImagesRemoved removed 3 images that nobody pulled for 7 days",
		"Normal ImagesExpired removed 5 archived images that are older than 30 days",
		"Normal RepositoryCreated created repository shop",
		"Normal RepositoryAdopted adopted repository shop",
		"Warning PullsNotRecorded an environment pulled sha256:1, and ECR has no record of it: no image counts as unused for 7 days from now; ",
		"Warning UnusedImagesNotRemoved can't remove the images that nobody pulled for 7 days: ",
	} {
		select {
		case got := <-recorder.Events:
			if !strings.HasPrefix(got, want) {
				t.Errorf("event %q, want %q", got, want)
			}
		default:
			t.Errorf("no event %q", want)
		}
	}
	if len(recorder.Events) > 0 {
		t.Errorf("another event: %q", <-recorder.Events)
	}
}
