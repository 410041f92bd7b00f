package envtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/awsemulator"
)

// TestAnyScheduleKeepsThePromises runs random schedules of requests, builds that succeed, fail and die, manager restarts,
// throttles and deletions. After each step: at most one builder for a hash, no image under a hash that is not its own,
// no digest under two hashes. In the end: every environment has an image or a plain reason, and no upload right is left.
//
// A seed in IMAGECACHE_SEED repeats one schedule; IMAGECACHE_LONG runs many.
func TestAnyScheduleKeepsThePromises(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if os.Getenv("IMAGECACHE_LONG") != "" {
		for seed := range uint64(40) {
			seeds = append(seeds, seed+100)
		}
	}
	if text := os.Getenv("IMAGECACHE_SEED"); text != "" {
		var seed uint64
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatalf("IMAGECACHE_SEED: %v", err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newSchedule(t, seed).run(60) })
	}
}

// schedule is one random course of events.
type schedule struct {
	*harness
	random  *rand.Rand
	project *v1alpha1.ProjectImageCache
	count   int

	mu    sync.Mutex
	alive map[string]bool // requests whose runner still renews its lease
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	h := newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.BuildLease = 1500 * time.Millisecond })
	h.runner("demo")
	return &schedule{
		harness: h, random: rand.New(rand.NewPCG(seed, seed)),
		project: h.project("shop", "demo"), alive: map[string]bool{},
	}
}

func (s *schedule) run(steps int) {
	ctx, cancel := context.WithCancel(s.ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { s.renewAll(ctx) })
	defer renewing.Wait()
	defer cancel()

	events := []struct {
		weight int
		happen func() string
	}{
		{8, s.arrive}, {8, s.work}, {1, s.failBuild}, {2, s.die}, {1, s.restart}, {2, s.throttle}, {2, s.deleteSomeImage}, {1, s.deleteSomeRequest},
	}
	var deck []func() string
	for _, event := range events {
		for range event.weight {
			deck = append(deck, event.happen)
		}
	}
	for step := range steps {
		what := ""
		for what == "" {
			what = deck[s.random.IntN(len(deck))]() // empty: there was nothing for it to happen to
		}
		s.t.Logf("%2d %s", step, what)
		s.check()
		time.Sleep(time.Duration(s.random.IntN(60)) * time.Millisecond)
	}
	s.settle()
}

// renewAll renews the leases of all runners that are alive.
func (s *schedule) renewAll(ctx context.Context) {
	for ctx.Err() == nil {
		var leases coordinationv1.LeaseList
		if err := kube.List(ctx, &leases, client.InNamespace(s.namespace)); err == nil {
			for i := range leases.Items {
				s.mu.Lock()
				alive := s.alive[ptr.Deref(leases.Items[i].Spec.HolderIdentity, "")]
				s.mu.Unlock()
				if alive {
					leases.Items[i].Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Now()))
					_ = kube.Update(ctx, &leases.Items[i]) // a conflict is another's turn
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (s *schedule) arrive() string {
	s.count++
	id, hash := fmt.Sprintf("e-%d", s.random.IntN(20)), hashOf(fmt.Sprint(s.random.IntN(3)))
	e := s.ask("shop", id, hash, func(spec *v1alpha1.DevcontainerImageSpec) {
		switch s.random.IntN(8) {
		case 0:
			spec.Trigger = v1alpha1.TriggerRebuild
		case 1:
			spec.CachePolicy = v1alpha1.CachePolicyRefresh
		}
	})
	s.mu.Lock()
	s.alive[e.request.Name+"/"+string(e.request.UID)] = true
	s.mu.Unlock()
	return fmt.Sprintf("%s asks for %s: %s %s", id, hash[:4], e.request.Spec.Trigger, e.request.Spec.CachePolicy)
}

// builders are the requests that build and have not reported.
func (s *schedule) builders() []*environment {
	var found []*environment
	for _, request := range s.requests() {
		if request.Status.Role == v1alpha1.RoleBuilder && request.Status.FinishedAt == nil && request.DeletionTimestamp.IsZero() && s.isAlive(&request) {
			found = append(found, &environment{harness: s.harness, request: request.DeepCopy()})
		}
	}
	return found
}

func (s *schedule) isAlive(request *v1alpha1.DevcontainerImage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive[request.Name+"/"+string(request.UID)]
}

func (s *schedule) requests() []v1alpha1.DevcontainerImage {
	var list v1alpha1.DevcontainerImageList
	s.Expect(kube.List(s.ctx, &list, client.InNamespace(s.namespace))).To(Succeed())
	return list.Items
}

// work takes one builder further: a report if it has none, or the upload of what is missing.
func (s *schedule) work() string {
	builders := s.builders()
	if len(builders) == 0 {
		return ""
	}
	e := builders[s.random.IntN(len(builders))]
	return s.step(e)
}

// built are the images of requests, so that an upload later finds the one that was reported.
var built sync.Map

func (s *schedule) step(e *environment) string {
	who := e.request.Spec.EnvironmentID
	if e.request.Spec.Build == nil {
		e.build()
		built.Store(e.request.UID, e.image)
		return who + " reports: " + s.attempt(e, e.reportPatch())
	}
	image, known := built.Load(e.request.UID)
	if e.request.Status.PushCredentials == nil || !known || ptr.Deref(e.request.Spec.UploadAttempt, 0) > ptr.Deref(e.request.Status.ObservedUploadAttempt, 0) {
		return who + " waits for the controller"
	}
	e.image = image.(v1.Image)
	if err := e.uploadOnce(); err != nil {
		return who + " could not upload: " + err.Error()
	}
	return who + " uploads: " + s.attempt(e, map[string]any{"uploadAttempt": ptr.Deref(e.request.Status.ObservedUploadAttempt, 0) + 1})
}

// attempt sends a runner's patch. It may come too late: the request may be gone.
func (s *schedule) attempt(e *environment, spec map[string]any) string {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	s.Expect(err).NotTo(HaveOccurred())
	err = kube.Patch(s.ctx, e.request.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	switch {
	case err == nil:
		return "done"
	case apierrors.IsNotFound(err), apierrors.IsInvalid(err):
		return "too late"
	}
	s.Expect(err).NotTo(HaveOccurred())
	return ""
}

func (s *schedule) failBuild() string {
	for _, e := range s.builders() {
		if e.request.Spec.Build == nil {
			return e.request.Spec.EnvironmentID + " fails: " + s.attempt(e, map[string]any{"build": map[string]any{"outcome": "Failed", "durationSeconds": 1, "message": "RUN false"}})
		}
	}
	return ""
}

// die ends a runner: nothing is renewed or reported any more.
func (s *schedule) die() string {
	builders := s.builders()
	if len(builders) == 0 {
		return ""
	}
	request := builders[s.random.IntN(len(builders))].request
	s.mu.Lock()
	delete(s.alive, request.Name+"/"+string(request.UID))
	s.mu.Unlock()
	return request.Spec.EnvironmentID + " dies"
}

func (s *schedule) restart() string {
	s.stop()
	s.startManager()
	return "the manager is restarted"
}

func (s *schedule) throttle() string {
	operations := []string{"ecr:BatchGetImage", "ecr:PutImage", "ecr:BatchCheckLayerAvailability", "sts:AssumeRole", "ecr:BatchDeleteImage"}
	operation := operations[s.random.IntN(len(operations))]
	s.aws.Faults().Add(awsemulator.Fault{Operation: operation, Code: "ThrottlingException", Next: 1 + s.random.IntN(4), AfterEffect: s.random.IntN(3) == 0})
	return operation + " fails for a while"
}

func (s *schedule) deleteSomeImage() string {
	for _, image := range s.images() {
		if s.random.IntN(2) == 0 {
			s.deleteImage(s.project.Status.Repository.Name, *image.ImageDigest)
			return "an image is deleted by hand"
		}
	}
	return ""
}

func (s *schedule) deleteSomeRequest() string {
	requests := s.requests()
	if len(requests) == 0 {
		return ""
	}
	request := requests[s.random.IntN(len(requests))]
	s.Expect(client.IgnoreNotFound(kube.Delete(s.ctx, &request))).To(Succeed())
	return "the request of " + request.Spec.EnvironmentID + " is deleted"
}

func (s *schedule) registry() *ecr.Client {
	return ecr.New(ecr.Options{
		Region: s.aws.Region(), BaseEndpoint: ptr.To(s.aws.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(s.aws.AccessKeyID(), s.aws.SecretAccessKey(), ""),
	})
}

func (s *schedule) images() []ecrtypes.ImageDetail {
	output, err := s.registry().DescribeImages(s.ctx, &ecr.DescribeImagesInput{RepositoryName: &s.project.Status.Repository.Name})
	s.Expect(err).NotTo(HaveOccurred())
	return output.ImageDetails
}

// check holds the invariants that are true at any moment.
func (s *schedule) check() {
	s.t.Helper()
	builders := map[string]string{}
	for _, request := range s.requests() {
		if request.Status.Role == v1alpha1.RoleBuilder && request.Status.FinishedAt == nil {
			hash := request.Status.ConfigHash
			s.Expect(builders).NotTo(HaveKey(hash), "two builders of one hash: %s and %s", builders[hash], request.Name)
			builders[hash] = request.Name
		}
	}
	for _, image := range s.images() {
		s.Expect(len(image.ImageTags)).To(BeNumerically("<=", 1), "digest %s stands under %v", *image.ImageDigest, image.ImageTags)
	}
}

// settle lets everything come to its end, and holds what must be true then.
func (s *schedule) settle() {
	s.aws.Faults().Clear()
	s.Eventually(func() error {
		for _, e := range s.builders() {
			s.step(e)
		}
		s.check()
		for _, request := range s.requests() {
			if request.Status.FinishedAt == nil {
				return fmt.Errorf("%s (%s) is not finished: %s", request.Name, request.Status.Role, describe(&request))
			}
		}
		return nil
	}).WithTimeout(60 * time.Second).WithPolling(100 * time.Millisecond).Should(Succeed())
	for _, request := range s.requests() {
		ready := ""
		for _, condition := range request.Status.Conditions {
			if condition.Type == v1alpha1.ConditionReady {
				ready = condition.Reason
			}
		}
		s.Expect(ready != "" && (request.Status.Image != nil || request.Status.Role != "")).To(BeTrue(), "%s has neither image nor reason: %s", request.Name, describe(&request))
	}
	s.Expect(s.secrets(v1alpha1.CredentialsPush)).To(BeEmpty(), "upload rights are left behind")
	s.checkLabels()
}

// checkLabels reads every image from the registry and compares its own hash with the tag that it stands under.
func (s *schedule) checkLabels() {
	token, err := s.registry().GetAuthorizationToken(s.ctx, &ecr.GetAuthorizationTokenInput{})
	s.Expect(err).NotTo(HaveOccurred())
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: *token.AuthorizationData[0].AuthorizationToken}))
	for _, detail := range s.images() {
		reference, err := name.NewDigest(s.project.Status.Repository.URI+"@"+*detail.ImageDigest, name.Insecure)
		s.Expect(err).NotTo(HaveOccurred())
		image, err := remote.Image(reference, auth)
		s.Expect(err).NotTo(HaveOccurred())
		config, err := image.ConfigFile()
		s.Expect(err).NotTo(HaveOccurred())
		s.Expect(detail.ImageTags).To(Equal([]string{config.Config.Labels[imagelabel.Hash]}))
	}
}
