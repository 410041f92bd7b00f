package envtest

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/awsemulator"
)

const (
	soon = 20 * time.Second
	tick = 50 * time.Millisecond
)

func runnerObject(namespace, name string, change ...func(*v1alpha1.RunnerImageCacheSpec)) *v1alpha1.RunnerImageCache {
	runner := &v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: name, Region: awsemulator.DefaultRegion},
	}
	for _, c := range change {
		c(&runner.Spec)
	}
	return runner
}

// reason is the reason of one of an object's conditions, or empty.
func reason(g Gomega, object client.Object, condition string) string {
	g.Expect(kube.Get(context.Background(), client.ObjectKeyFromObject(object), object)).To(Succeed())
	found := meta.FindStatusCondition(conditionsOf(object), condition)
	if found == nil {
		return ""
	}
	return string(found.Status) + "/" + found.Reason
}

func TestRunnerReadsItsStackAndMakesItsRoles(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{IAMDelay: 2 * time.Second}, leastPrivilege(t))
	account.stack(t, "runner-stack", "1", map[string]string{"team": "core", "cost-center": "42"})
	startManager(t, namespace, managerSettings{stackInterval: time.Second})
	runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))

	g.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(runner.Status.AccountID).To(Equal(account.AccountID()))
	g.Expect(runner.Status.ControllerARN).To(HaveSuffix(":role/imagecache-controller"))
	g.Expect(runner.Status.StackTags).To(HaveLen(2))
	g.Expect(runner.Status.StackVersion).To(Equal("1"))
	g.Expect(runner.Status.PullRoleARN).To(HaveSuffix(":role/imagecache-r1-us-east-1-pull"))
	g.Expect(runner.Status.PushRoleARN).To(HaveSuffix(":role/imagecache-r1-us-east-1-push"))

	account.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge"})
	g.Eventually(func(g Gomega) {
		g.Expect(kube.Get(t.Context(), client.ObjectKeyFromObject(runner), runner)).To(Succeed())
		g.Expect(runner.Status.StackTags).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
}

func TestRunnerSaysWhyItCannotBeServed(t *testing.T) {
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	account.stack(t, "old-stack", "", nil)
	for name, test := range map[string]struct {
		change func(*v1alpha1.RunnerImageCacheSpec)
		want   string
	}{
		"another provider": {func(s *v1alpha1.RunnerImageCacheSpec) { s.Provider = v1alpha1.ProviderGCP }, v1alpha1.ReasonUnsupportedProvider},
		"another account":  {func(s *v1alpha1.RunnerImageCacheSpec) { s.AccountID = "999999999999" }, v1alpha1.ReasonAccountMismatch},
		"no such stack":    {func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "missing" }, v1alpha1.ReasonStackNotFound},
		"an old stack":     {func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "old-stack" }, v1alpha1.ReasonStackOutdated},
		"a role that isn't allowed here": {func(s *v1alpha1.RunnerImageCacheSpec) {
			s.AssumeRoleARN = "arn:aws:iam::123456789012:role/other"
		}, v1alpha1.ReasonAssumeRoleNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			g, namespace := NewWithT(t), newNamespace(t)
			startManager(t, namespace, managerSettings{})
			runner := create(t, runnerObject(namespace, "r1", test.change))
			g.Eventually(func(g Gomega) {
				g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("False/" + test.want))
				g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/" + test.want))
			}, soon, tick).Should(Succeed())
		})
	}
}

func TestSecondRunnerOfAnIDTakesOverOnceTheFirstIsGone(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, managerSettings{})
	first := create(t, runnerObject(namespace, "first", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	time.Sleep(1100 * time.Millisecond) // creation times have whole seconds
	second := create(t, runnerObject(namespace, "second", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("False/RunnerIDInUse")) }, soon, tick).Should(Succeed())

	g.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
}

func TestDeletedRunnerWaitsForProjectsAndRemovesItsRoles(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, managerSettings{})
	runner := create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())

	g.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("False/ProjectsRemain")) }, soon, tick).Should(Succeed())
	g.Expect(roleNames(t, account)).To(ContainElement(HavePrefix("imagecache-r1")))
	g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	g.Eventually(func() error { return kube.Get(t.Context(), client.ObjectKeyFromObject(runner), runner) }, soon, tick).ShouldNot(Succeed())
	for _, name := range roleNames(t, account) {
		if strings.HasPrefix(name, "imagecache-r1") {
			t.Errorf("role %s is still there", name)
		}
	}
	if repository, _ := account.repository(t.Context(), repositoryOf("r1", "p1")); repository != nil {
		t.Error("the repository is still there")
	}
}
