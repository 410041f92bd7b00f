package ecr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/lru"
	"imagecache.dev/test/awsemulator"
)

// publishFrom puts an image whose manifest says that an environment built it.
func (a *account) publishFrom(t *testing.T, images *ecr.Images, tag, environment string) string {
	t.Helper()
	plain, err := random.Image(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	image := mutate.Annotations(plain, map[string]string{
		imagelabel.Environment: environment,
		imagelabel.Inputs:      fmt.Sprintf(`[{"name":"Dockerfile","digest":"sha256:%064x"}]`, len(tag)),
	}).(v1.Image)
	manifest, _ := a.upload(t, image)
	if err := images.Put(t.Context(), repository, tag, manifest, string(types.DockerManifestSchema2)); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// timed is an account whose Images have a clock that the test moves.
func timed(t *testing.T) (*account, *ecr.Images, *clocktesting.FakePassiveClock) {
	t.Helper()
	a := start(t, awsemulator.Options{})
	clock := clocktesting.NewFakePassiveClock(time.Now())
	return a, ecr.NewImages(a.clients, clock, lru.NewBudget(32<<20)), clock
}

// environments are those of the recent images, the newest first.
func environments(t *testing.T, images *ecr.Images) string {
	t.Helper()
	recent, err := images.Recent(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, image := range recent {
		names = append(names, fmt.Sprintf("%s/%d", image.Origin.Environment, len(image.Origin.Inputs)))
	}
	written, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return string(written)
}

func TestRecentImagesAreReadOnceForAWhile(t *testing.T) {
	a, images, clock := timed(t)
	a.publishFrom(t, a.images, "one", "e-1")
	a.Clock().Advance(time.Minute)
	a.publishFrom(t, a.images, "two", "e-2")
	a.publish(t, "plain")
	a.Calls().Reset()
	for range 2 {
		if got := environments(t, images); got != `["/0","e-2/1","e-1/1"]` && got != `["e-2/1","/0","e-1/1"]` {
			t.Errorf("recent images are %s", got)
		}
	}
	if n := a.Calls().Total(); n != 2 {
		t.Errorf("%d calls for two readings at once, want 2: %v", n, a.Calls().Counts())
	}

	// Later the list is read again, and of the images only those that are new.
	clock.SetTime(clock.Now().Add(10 * time.Minute))
	environments(t, images)
	if n := a.Calls().Total(); n != 3 {
		t.Errorf("%d calls with a reading of what is known, want 3: %v", n, a.Calls().Counts())
	}
	a.Clock().Advance(time.Minute)
	a.publishFrom(t, a.images, "three", "e-3")
	clock.SetTime(clock.Now().Add(10 * time.Minute))
	if got := environments(t, images); got[:8] != `["e-3/1"` {
		t.Errorf("recent images are %s", got)
	}
}

func TestRecentImagesFollowWhatIsDoneHere(t *testing.T) {
	a, images, _ := timed(t)
	if got := environments(t, images); got != `[]` {
		t.Errorf("an empty repository has %s", got)
	}
	first := a.publishFrom(t, images, "one", "e-1")
	a.Calls().Reset()
	if got := environments(t, images); got != `["e-1/1"]` {
		t.Errorf("after a publication: %s", got)
	}
	if err := images.Delete(t.Context(), repository, first); err != nil {
		t.Fatal(err)
	}
	if got := environments(t, images); got != `[]` {
		t.Errorf("after the deletion: %s", got)
	}
	if n := a.Calls().Total(); n != 1 {
		t.Errorf("%d calls, want only the deletion: %v", n, a.Calls().Counts())
	}
}

func TestRecentImagesOfRepositoriesThatNobodyAsksAboutCostNothing(t *testing.T) {
	a, images, _ := timed(t)
	a.Calls().Reset()
	a.publishFrom(t, images, "one", "e-1")
	for operation := range a.Calls().Counts() {
		if operation == "ecr:DescribeImages" || operation == "ecr:BatchGetImage" {
			t.Errorf("a publication calls %s", operation)
		}
	}
}

func TestRecentImagesAreTheNewestHundred(t *testing.T) {
	a, images, clock := timed(t)
	for n := range 105 {
		a.publishFrom(t, a.images, fmt.Sprint("tag-", n), fmt.Sprint("e-", n))
		a.Clock().Advance(time.Second)
	}
	a.Calls().Reset()
	recent, err := images.Recent(t.Context(), repository)
	if err != nil || len(recent) != 100 {
		t.Fatalf("%d recent images, %v; want 100", len(recent), err)
	}
	if first, last := recent[0].Origin.Environment, recent[99].Origin.Environment; first != "e-104" || last != "e-5" {
		t.Errorf("from %s to %s, want from e-104 to e-5", first, last)
	}
	if n := a.Calls().Total(); n != 2 {
		t.Errorf("%d calls, want 2: %v", n, a.Calls().Counts())
	}
	clock.SetTime(clock.Now().Add(2 * time.Minute))
	a.publishFrom(t, images, "newest", "newest")
	if recent, err = images.Recent(t.Context(), repository); err != nil || len(recent) != 100 || recent[0].Origin.Environment != "newest" {
		t.Errorf("after one more, %d recent images, the first of %s, %v", len(recent), recent[0].Origin.Environment, err)
	}
}

func TestReadersOfRecentImagesShareOneReadingAndMayLeave(t *testing.T) {
	a, images, _ := timed(t)
	a.publishFrom(t, a.images, "one", "e-1")
	a.Calls().Reset()
	a.Faults().Add(awsemulator.Fault{Operation: "ecr:DescribeImages", Latency: 300 * time.Millisecond})
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := images.Recent(impatient, repository); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the impatient caller gets %v, want its own deadline", err)
	}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if recent, err := images.Recent(context.Background(), repository); err != nil || len(recent) != 1 {
				t.Errorf("%d recent images, %v; want 1", len(recent), err)
			}
		})
	}
	group.Wait()
	if n := a.Calls().Total(); n != 2 {
		t.Errorf("%d calls for 101 readers, want 2: %v", n, a.Calls().Counts())
	}
}

func TestFailedReadingOfRecentImagesIsNotTriedAgainAtOnce(t *testing.T) {
	a, images, clock := timed(t)
	a.publishFrom(t, a.images, "one", "e-1")
	a.Faults().Add(awsemulator.Fault{Operation: "ecr:DescribeImages", Code: "AccessDeniedException"})
	a.Calls().Reset()
	for range 3 {
		if recent, err := images.Recent(t.Context(), repository); err == nil {
			t.Errorf("recent images although ECR refuses: %v", recent)
		}
	}
	if n := a.Calls().Total(); n != 1 {
		t.Errorf("%d calls, want 1: %v", n, a.Calls().Counts())
	}
	a.Faults().Clear()
	clock.SetTime(clock.Now().Add(2 * time.Minute))
	if got := environments(t, images); got != `["e-1/1"]` {
		t.Errorf("once ECR answers: %s", got)
	}
}
