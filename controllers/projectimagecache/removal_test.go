package projectimagecache

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

// pages answers each list with the next of its pages, as the API server does: in JSON.
type pages struct {
	client.Reader
	pages []v1alpha1.DevcontainerImageList
}

func (p *pages) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if len(p.pages) == 0 {
		return errors.New("the last page was read")
	}
	answer, err := json.Marshal(p.pages[0])
	if err != nil {
		return err
	}
	p.pages = p.pages[1:]
	return utiljson.Unmarshal(answer, list)
}

func requestFor(hash string, change ...func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
	made := v1alpha1.DevcontainerImage{}
	made.Spec.ConfigHash, made.Status.ConfigHash = hash, hash
	for _, c := range change {
		c(&made)
	}
	return made
}

// What the second page says about its requests changes nothing of what the first page said about others.
func TestRequestsOfEachPageKeepTheirImages(t *testing.T) {
	open := requestFor(hashNamed("a"), func(r *v1alpha1.DevcontainerImage) {
		r.Status.FinishedAt, r.Status.LayersFrom = stampOf(daysAgo(1)), &v1alpha1.LayerSource{ConfigHash: hashNamed("b")}
	})
	old := requestFor(hashNamed("c"), func(r *v1alpha1.DevcontainerImage) {
		r.Status.FinishedAt, r.Status.LayersFrom = stampOf(daysAgo(30)), &v1alpha1.LayerSource{ConfigHash: hashNamed("d")}
	})
	first := v1alpha1.DevcontainerImageList{Items: []v1alpha1.DevcontainerImage{open}}
	first.Continue = "more"
	r := &Reconciler{Live: &pages{pages: []v1alpha1.DevcontainerImageList{first, {Items: []v1alpha1.DevcontainerImage{old}}}}}
	demand := newDemand(nil, daysAgo(99), daysAgo(8), fixture.Noon)
	err := r.readRequests(t.Context(), testProject(), demand.add)
	want := map[string]bool{hashNamed("a"): true, hashNamed("b"): true}
	if diff := cmp.Diff(want, demand.hashes); err != nil || diff != "" {
		t.Errorf("asked for (-want +got), %v:\n%s", err, diff)
	}
}

// shelf is a repository that removes all images but those that stay. down makes its calls fail.
type shelf struct {
	stay map[string]bool
	down bool
}

func (s *shelf) DeleteAll(_ context.Context, _ string, digests []string) (gone []string, err error) {
	if s.down && len(digests) > 0 {
		return nil, errors.New("ServerException")
	}
	for _, digest := range digests {
		if s.stay[digest] {
			err = errors.New("ImageReferencedByManifestList")
			continue
		}
		gone = append(gone, digest)
	}
	return gone, err
}

func unusedImage(character string, referrers ...string) ecr.Image {
	return ecr.Image{Digest: character, Tags: []string{hashNamed(character)}, PushedAt: daysAgo(50), Referrers: referrers}
}

func digestsOf(images []ecr.Image) string {
	var digests []string
	for _, image := range images {
		digests = append(digests, image.Digest)
	}
	slices.Sort(digests)
	return strings.Join(digests, " ")
}

func TestRemovalOfUnusedImages(t *testing.T) {
	for name, test := range map[string]struct {
		live       *pages
		repository *shelf
		left       string
		fails      bool
		again      time.Duration
	}{
		"all":                        {&pages{pages: make([]v1alpha1.DevcontainerImageList, 1)}, &shelf{}, "", false, 0},
		"the requests can't be read": {&pages{}, &shelf{}, "a b c", true, removalRetry},
		"ECR fails":                  {&pages{pages: make([]v1alpha1.DevcontainerImageList, 1)}, &shelf{down: true}, "a b c", true, removalRetry},
		"one stays":                  {&pages{pages: make([]v1alpha1.DevcontainerImageList, 1)}, &shelf{stay: map[string]bool{"b": true}}, "b", true, removalRetry},
		"a signature stays":          {&pages{pages: make([]v1alpha1.DevcontainerImageList, 1)}, &shelf{stay: map[string]bool{"sig-2 of a": true}}, "a", true, removalRetry},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{Live: test.live, AWSClock: clocktesting.NewFakePassiveClock(fixture.Noon)}
			project := testProject(func(p *v1alpha1.ProjectImageCache) {
				p.Spec.ExpireUnusedAfterDays, p.Status.EnabledAt = ptr.To(int32(7)), stampOf(daysAgo(60))
				p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: stampOf(daysAgo(0.9))}
			})
			facts := &projectFacts{now: fixture.Noon, counted: true}
			images := []ecr.Image{unusedImage("a", "sig-1 of a", "sig-2 of a"), unusedImage("b"), unusedImage("c", "sig of c")}
			left, err := r.removeUnused(t.Context(), project, test.repository, facts, images)
			if digestsOf(left) != test.left || (err != nil) != test.fails {
				t.Errorf("left are %q, %v; want %q", digestsOf(left), err, test.left)
			}
			if facts.unused != len(images)-len(left) || facts.countAgainIn != test.again {
				t.Errorf("%d are told, and counted again in %s; want %s", facts.unused, facts.countAgainIn, test.again)
			}
		})
	}
}
