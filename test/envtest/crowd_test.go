package envtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

const crowd = 1000

// askAll creates requests of many environments, each with the hash that hashFor gives it.
func (h *harness) askAll(project string, hashFor func(i int) string, edit ...func(*v1alpha1.DevcontainerImageSpec)) {
	h.t.Helper()
	h.askMany(project, crowd, hashFor, edit...)
}

func (h *harness) askMany(project string, many int, hashFor func(i int) string, edit ...func(*v1alpha1.DevcontainerImageSpec)) {
	h.t.Helper()
	var creating sync.WaitGroup
	for worker := range 20 {
		creating.Go(func() {
			for i := worker; i < many; i += 20 {
				h.ask(project, fmt.Sprintf("crowd-%d", i), hashFor(i), edit...)
			}
		})
	}
	creating.Wait()
}

// answers counts the namespace's answers.
func (h *harness) answers() (results map[v1alpha1.CacheResult]int, roles map[v1alpha1.Role]int) {
	h.t.Helper()
	results, roles = map[v1alpha1.CacheResult]int{}, map[v1alpha1.Role]int{}
	var list v1alpha1.DevcontainerImageList
	h.Expect(kube.List(h.ctx, &list, client.InNamespace(h.namespace))).To(Succeed())
	for i := range list.Items {
		if result := list.Items[i].Status.CacheResult; result != "" {
			results[result]++
		}
		if role := list.Items[i].Status.Role; role != "" {
			roles[role]++
		}
	}
	return results, roles
}

func TestThousandRequestsAtOnceCostFewCalls(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	const hashes = 10
	for i := range hashes {
		h.ask("shop", fmt.Sprintf("first-%d", i), hashOf(fmt.Sprint(i))).publish()
	}
	h.stop()
	h.askAll("shop", func(i int) string { return hashOf(fmt.Sprint(i % hashes)) })
	h.aws.Calls().Reset()
	began := time.Now()
	h.startManager()
	h.Eventually(func() int { results, _ := h.answers(); return results[v1alpha1.CacheHit] }).
		WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal(crowd))
	t.Logf("%d requests answered in %.1f s with %d calls: %v", crowd, time.Since(began).Seconds(), h.aws.Calls().Total(), h.aws.Calls().Counts())
	h.Expect(h.aws.Calls().Count("ecr:BatchGetImage")).To(BeNumerically("<=", 30))
	h.Expect(h.aws.Calls().Count("ecr:GetDownloadUrlForLayer")).To(Equal(hashes), "the restarted manager reads each image once")
}

func TestThousandRequestsForOneNewHashHaveOneBuilder(t *testing.T) {
	// The builder of this test renews no lease, and on a busy machine the answers take longer than one lasts.
	h := newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.BuildLease = 10 * time.Minute })
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "first", hashOf("old"), fiveInputs).publish()
	h.aws.Calls().Reset()
	h.askAll("shop", func(int) string { return hashOf("new") }, newDockerfile)
	h.Eventually(func() int { _, roles := h.answers(); return roles[v1alpha1.RoleWaiter] }).
		WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal(crowd - 1))
	var list v1alpha1.DevcontainerImageList
	h.Expect(kube.List(h.ctx, &list, client.InNamespace(h.namespace))).To(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:DescribeImages")).To(BeNumerically("<=", 2), "one reading explains all their misses; the other one counts the images of the project")
	for i := range list.Items {
		if list.Items[i].Status.ConfigHash != hashOf("new") {
			continue
		}
		h.Expect(list.Items[i].Status.Explanation).To(ContainSubstring("4 of 5 inputs equal"))
		if list.Items[i].Status.Role == v1alpha1.RoleBuilder {
			(&environment{harness: h, request: ptr.To(list.Items[i])}).publish()
		}
	}
	h.Eventually(func() int {
		var list v1alpha1.DevcontainerImageList
		h.Expect(kube.List(h.ctx, &list, client.InNamespace(h.namespace))).To(Succeed())
		finished := 0
		for i := range list.Items {
			if list.Items[i].Status.FinishedAt != nil && list.Items[i].Status.Image != nil {
				finished++
			}
		}
		return finished
	}).WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal(crowd + 1))
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
}

func TestSecondCreationOfAnEnvironmentBuildsForItself(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).role(v1alpha1.RoleBuilder)
	again := h.ask("shop", "e-1", hashOf("b"))
	again.role(v1alpha1.RoleLocalBuild)
	again.ready(again.request)
	h.Expect(again.request.Status.Explanation).To(ContainSubstring("only the first request may publish"))
}
