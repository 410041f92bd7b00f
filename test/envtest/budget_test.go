package envtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// createProjects creates so many projects of runner r1.
func createProjects(t *testing.T, namespace string, count int) {
	t.Helper()
	for n := range count {
		create(t, projectObject(namespace, fmt.Sprintf("p%03d", n), "r1"))
	}
}

// readyProjects counts the projects that are ready.
func readyProjects(g Gomega, namespace string) int {
	var list v1alpha1.ProjectImageCacheList
	g.Expect(kube.List(context.Background(), &list, client.InNamespace(namespace))).To(Succeed())
	ready := 0
	for _, project := range list.Items {
		if meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionReady) {
			ready++
		}
	}
	return ready
}

func TestCallBudget(t *testing.T) {
	const count = 120
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.Calls().Reset()
	createProjects(t, h.namespace, count)
	h.Eventually(func(g Gomega) { g.Expect(readyProjects(g, h.namespace)).To(Equal(count)) }, time.Minute, tick).Should(Succeed())
	if calls := h.aws.Calls().Total(); calls > 3*count+5 {
		t.Errorf("%d repositories cost %d calls, more than 3 each and 5: %v", count, calls, h.aws.Calls().Counts())
	}
	h.stop()

	// A restarted manager finds everything as it should be, by pages of the account's lists.
	h.aws.Calls().Reset()
	h.settings.Intervals = controllers.Intervals{Drift: 500 * time.Millisecond}
	h.startManager()
	h.Eventually(func() int { return h.aws.Calls().Count("ecr:DescribeRepositories") }, soon, tick).Should(BeNumerically(">=", 4))
	counts := h.aws.Calls().Counts()
	for operation, calls := range counts {
		switch operation {
		case "ecr:DescribeRepositories":
		case "tagging:GetResources": // two pages each
			if passes := counts["ecr:DescribeRepositories"] + 1; calls > 2*passes {
				t.Errorf("%d calls of %s for %d passes", calls, operation, passes)
			}
		case "sts:GetCallerIdentity", "cloudformation:DescribeStacks", "iam:GetRole", "iam:GetRolePolicy", "sts:AssumeRole": // the runner's
		default:
			t.Errorf("%d calls of %s although nothing drifted", calls, operation)
		}
	}
}

func TestThrottledCreationIsPacedAndSlowsNothingElse(t *testing.T) {
	const count, perSecond = 60, 10
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	first := create(t, projectObject(h.namespace, "first", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())

	alarms := watchAlarms(t, h.namespace)
	h.aws.Faults().Limit(awsemulator.Rate{Operation: "ecr:CreateRepository", PerSecond: perSecond, Burst: 1})
	createProjects(t, h.namespace, count)
	// While creations wait for their turn, another project's policy changes and it gets its credentials at once.
	create(t, requestObject(h.namespace, "e1", "first"))
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"retentionDays":9}}`))
	h.Expect(kube.Patch(t.Context(), first, patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, first, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		g.Expect(h.aws.lifecycleDays(context.Background(), repositoryOf("r1", "first"))).To(Equal(9))
	}, soon, tick).Should(Succeed())
	h.Expect(readyProjects(h, h.namespace)).To(BeNumerically("<", count), "creations wait meanwhile")
	h.Eventually(func(g Gomega) { g.Expect(readyProjects(g, h.namespace)).To(Equal(count + 1)) }, time.Minute, tick).Should(Succeed())
	for _, alarm := range alarms() {
		t.Errorf("on the way, a person would have looked at %s", alarm)
	}
	t.Logf("AWS refused %d of %d calls", h.aws.Calls().Errors("ecr:CreateRepository"), h.aws.Calls().Count("ecr:CreateRepository"))
}

// watchAlarms watches a namespace's projects until its result is called, which returns what looked like a failure.
func watchAlarms(t *testing.T, namespace string) func() []string {
	t.Helper()
	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := watcher.Watch(t.Context(), &v1alpha1.ProjectImageCacheList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	var alarms []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range stream.ResultChan() {
			project, ok := event.Object.(*v1alpha1.ProjectImageCache)
			if !ok || event.Type == watch.Bookmark {
				continue
			}
			for _, condition := range project.Status.Conditions {
				waits := condition.Reason == v1alpha1.ReasonProgressing || condition.Reason == v1alpha1.ReasonThrottled || condition.Reason == v1alpha1.ReasonWaitingForRunner
				if condition.Status == "False" && !waits {
					alarms = append(alarms, fmt.Sprintf("%s: %s is %s: %s", project.Name, condition.Type, condition.Reason, condition.Message))
				}
			}
		}
	}()
	return func() []string {
		stream.Stop()
		<-done
		return alarms
	}
}
