package projectimagecache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
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
			remove, more := planUnused(test.images, test.requests, before, 3)
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
		"on for a week":         {ptr.To(int32(7)), stampOf(daysAgo(7)), time.Time{}},
		"on for more than that": {ptr.To(int32(7)), stampOf(daysAgo(8.1)), daysAgo(8)},
	} {
		if got := unusedBefore(test.days, test.enabled, fixture.Noon); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestEnabledAt(t *testing.T) {
	for name, test := range map[string]struct {
		disabled bool
		known    *metav1.Time
		counted  float64 // days ago
		want     *metav1.Time
	}{
		"first seen":                           {false, nil, 0.5, stampOf(fixture.Noon)},
		"on since yesterday":                   {false, stampOf(daysAgo(1)), 0.5, stampOf(daysAgo(1))},
		"off":                                  {true, stampOf(daysAgo(1)), 0.5, nil},
		"the manager did not run for two days": {false, stampOf(daysAgo(9)), 2.1, stampOf(fixture.Noon)},
		"the manager did not run for a day":    {false, stampOf(daysAgo(9)), 1.9, stampOf(daysAgo(9))},
	} {
		project := testProject(func(p *v1alpha1.ProjectImageCache) {
			p.Spec.ExpireUnusedAfterDays, p.Status.EnabledAt = ptr.To(int32(1)), test.known
			p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: stampOf(daysAgo(test.counted)), OldestExpiresAt: stampOf(daysAgo(-10))}
		})
		if diff := cmp.Diff(test.want, enabledAt(project, test.disabled, fixture.Noon)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func TestRemovalOfUnusedImagesIsAnnounced(t *testing.T) {
	recorder := events.NewFakeRecorder(3)
	r := &Reconciler{Recorder: recorder}
	project := testProject(func(p *v1alpha1.ProjectImageCache) { p.Spec.ExpireUnusedAfterDays = ptr.To(int32(7)) })
	before := project.Status.DeepCopy()
	r.announce(project, before, &projectFacts{unused: 3})
	r.announce(project, before, &projectFacts{unusedErr: fmt.Errorf("delete images: %w", errors.New("no"))})
	for _, want := range []string{
		"Normal UnusedImagesRemoved removed 3 images that nobody pulled for 7 days",
		"Warning UnusedImagesNotRemoved can't remove the images that nobody pulled for 7 days: ",
	} {
		if got := <-recorder.Events; !strings.HasPrefix(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}
