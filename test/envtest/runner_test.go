package envtest

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
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
	h := newWorld(t, startCloud(t, awsemulator.Options{IAMDelay: 2 * time.Second}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core", "cost-center": "42"})
	h.settings.Intervals = controllers.Intervals{Stack: time.Second, StackCalls: 10000}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))

	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(runner.Status.AccountID).To(Equal(h.aws.AccountID()))
	h.Expect(runner.Status.ControllerARN).To(HaveSuffix(":role/imagecache-controller"))
	h.Expect(runner.Status.StackTags).To(HaveLen(2))
	h.Expect(runner.Status.StackVersion).To(Equal("1"))
	h.Expect(runner.Status.PullRoleARN).To(HaveSuffix(":role/imagecache-r1-us-east-1-pull"))
	h.Expect(runner.Status.PushRoleARN).To(HaveSuffix(":role/imagecache-r1-us-east-1-push"))

	h.aws.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge"})
	h.Eventually(func(g Gomega) {
		g.Expect(kube.Get(t.Context(), client.ObjectKeyFromObject(runner), runner)).To(Succeed())
		g.Expect(runner.Status.StackTags).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
}

// IAM makes a new role known only after some seconds. That is waited for: nothing is made again, nobody is alarmed, and
// a project that was applied at the same time has its credentials in the end.
func TestRolesThatCannotBeUsedForAWhileAreWaitedFor(t *testing.T) {
	const delay = 15 * time.Second
	h := newHarness(t, func(o *awsemulator.Options, _ *controllers.Settings) { o.IAMDelay = delay })
	runner, project := runnerObject(h.namespace, "demo"), projectObject(h.namespace, "shop", "demo")
	began := h.aws.Clock().Now()
	h.create(runner)
	h.create(project)
	request := h.ask("shop", "e-1", hashOf("a"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionRolesReady)).To(Equal("False/RoleNotAssumable"))
		g.Expect(reason(g, runner, v1alpha1.ConditionReconciling)).To(Equal("True/RoleNotAssumable"))
	}).Should(Succeed())
	// The first look at it again, after 5 s, still comes too early, and the one after that doesn't.
	h.aws.Clock().Advance(delay - 8*time.Second)
	h.ready(runner)
	h.Expect(h.aws.Clock().Now().Sub(began)).To(BeNumerically(">=", delay))
	h.Expect(h.aws.Calls().Errors("sts:AssumeRole")).To(BeNumerically(">=", 4), "both roles were tried in vain, and again")
	h.condition(project, v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue)
	request.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	h.Expect(h.aws.Calls().Count("iam:CreateRole")).To(Equal(2))
	h.Expect(h.aws.Calls().Count("iam:PutRolePolicy")).To(Equal(2))
	h.Expect(notes(h.namespace, "DriftCorrected")).To(BeEmpty())
	h.Expect(warnings(h.namespace)).To(BeEmpty())
}

// warnings are the texts of the namespace's events that ask for attention.
func warnings(namespace string) []string {
	var list eventsv1.EventList
	if err := kube.List(context.Background(), &list, client.InNamespace(namespace)); err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, event := range list.Items {
		if event.Type == corev1.EventTypeWarning {
			found = append(found, event.Reason+": "+event.Note)
		}
	}
	return found
}

// A stack that is too old is not half used: nothing is made for it until it is updated.
func TestOutdatedStackIsToldAndNothingIsMadeUntilItIsUpdated(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "", map[string]string{"team": "core"})
	h.settings.Intervals = controllers.Intervals{Stack: 500 * time.Millisecond, StackCalls: 10000}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/StackOutdated"))
		g.Expect(describe(runner)).To(ContainSubstring("docs/upgrading.md"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/WaitingForRunner"))
	}, soon, tick).Should(Succeed())
	h.Consistently(func() map[string]int { return h.aws.Calls().Counts() }, time.Second, tick).Should(SatisfyAll(
		Not(HaveKey("ecr:CreateRepository")), Not(HaveKey("iam:CreateRole")), Not(HaveKey("sts:AssumeRole"))))

	h.aws.updateStack(t, "runner-stack", "1", map[string]string{"team": "core"})
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())

	// What is there goes on working and is kept as it should be when a stack becomes too old.
	h.aws.updateStack(t, "runner-stack", "0", map[string]string{"team": "core"})
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/StackOutdated")) }, soon, tick).Should(Succeed())
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"retentionDays":9}}`))
	h.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	h.Eventually(func() int { return h.aws.lifecycleDays(context.Background(), repositoryOf("r1", "p1")) }, soon, tick).Should(Equal(9))
	h.Expect(reason(h, runner, v1alpha1.ConditionRolesReady)).To(Equal("True/Succeeded"))
}

// Roles that were made in a pass whose status was never written are removed all the same.
func TestRunnerWhoseStatusWasNeverWrittenLeavesNoRoles(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	fault := &kubeFault{pattern: regexp.MustCompile(kubeWrites["a runner's status"]), always: true}
	h.config = rest.CopyConfig(restConfig)
	h.config.Wrap(fault.wrap)
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1"))
	h.Eventually(func() int { return h.aws.Calls().Count("iam:PutRolePolicy") }, soon, tick).Should(Equal(2))
	h.Eventually(func() int32 { return fault.met.Load() }, soon, tick).Should(BeNumerically(">=", 1))
	h.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(runner), runner) }, soon, tick).ShouldNot(Succeed())
	h.Expect(roleNames(t, h.aws)).To(ConsistOf("imagecache-controller"))
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
			h := newWorld(t, account)
			h.startManager()
			runner := create(t, runnerObject(h.namespace, "r1", test.change))
			h.Eventually(func(g Gomega) {
				g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("False/" + test.want))
				g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/" + test.want))
			}, soon, tick).Should(Succeed())
		})
	}
}

func TestSecondRunnerOfAnIDTakesOverOnceTheFirstIsGone(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	first := create(t, runnerObject(h.namespace, "first", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	time.Sleep(1100 * time.Millisecond) // creation times have whole seconds
	second := create(t, runnerObject(h.namespace, "second", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("False/RunnerIDInUse")) }, soon, tick).Should(Succeed())
	h.Expect(h.aws.Calls().Count("iam:GetRole")).To(Equal(2), "the second looks at nothing of the first's")
	h.Expect(h.aws.Calls().Count("iam:CreateRole")).To(Equal(2))

	h.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	h.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
}

func TestDeletedRunnerWaitsForProjectsAndRemovesItsRoles(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())

	h.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("False/ProjectsRemain")) }, soon, tick).Should(Succeed())
	h.Expect(roleNames(t, h.aws)).To(ContainElement(HavePrefix("imagecache-r1")))
	h.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	h.Eventually(func() error { return kube.Get(t.Context(), client.ObjectKeyFromObject(runner), runner) }, soon, tick).ShouldNot(Succeed())
	for _, name := range roleNames(t, h.aws) {
		if strings.HasPrefix(name, "imagecache-r1") {
			t.Errorf("role %s is still there", name)
		}
	}
	if repository, _ := h.aws.repository(t.Context(), repositoryOf("r1", "p1")); repository != nil {
		t.Error("the repository is still there")
	}
}
