package envtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

func TestRepositoryThatReadsDoNotShowYetIsNotMadeTwice(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{ConsistencyDelay: 2 * time.Second}, leastPrivilege(t))
	account.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", Code: "ServerException", Status: 500, AfterEffect: true, Next: 1})
	startManager(t, namespace, controllers.Settings{Intervals: controllers.Intervals{Drift: 300 * time.Millisecond}})
	create(t, runnerObject(namespace, "r1"))
	// Of the first, the answer to its creation is lost, and reads don't show it.
	lost := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, lost, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(account.Calls().Count("ecr:CreateRepository")).To(Equal(account.Calls().Errors("ecr:CreateRepository")), "no second one is made")

	// The second is known to be made. The lists that drift is found in don't show it, and that is no drift.
	account.Calls().Reset()
	made := create(t, projectObject(namespace, "p2", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, made, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(reason(g, made, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(account.Calls().Count("ecr:CreateRepository")).To(Equal(1))
	}, 2500*time.Millisecond, tick).Should(Succeed())
	g.Expect(notes(namespace, "DriftCorrected")).To(BeEmpty())

	// A third is deleted before reads show it, and is not left behind.
	brief := create(t, projectObject(namespace, "p3", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, brief, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(kube.Delete(t.Context(), brief)).To(Succeed())
	g.Eventually(func() error { return kube.Get(context.Background(), keyOf(brief), brief) }, soon, tick).ShouldNot(Succeed())
	g.Expect(account.Calls().Count("ecr:DeleteRepository")).To(Equal(1))
}

func TestProjectsDoWithoutTheInventory(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, strings.ReplaceAll(leastPrivilege(t), `, "tag:GetResources"`, ""))
	startManager(t, namespace, controllers.Settings{Intervals: controllers.Intervals{Drift: time.Second}})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"retentionDays":9}}`))
	g.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	g.Eventually(func() int { return account.lifecycleDays(context.Background(), project.Status.Repository.Name) }, soon, tick).Should(Equal(9))
	g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	g.Eventually(func() []string { return notes(namespace, "DriftNotSeen") }, soon, tick).Should(ContainElement(ContainSubstring("tag:GetResources")))
}

func TestCredentialsThatCannotBeReplacedStayUntilTheyRunOut(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	stop := startManager(t, namespace, controllers.Settings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	stop()

	// A manager whose clock says that the credentials are old tries to replace them and can't.
	account.Faults().Add(awsemulator.Fault{Operation: "ecr:GetAuthorizationToken", Code: "ServerException", Status: 500})
	stop = startManager(t, namespace, controllers.Settings{Clock: ahead(45 * time.Minute)})
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/RefreshFailed"))
	}, soon, tick).Should(Succeed())
	g.Expect(pullSecrets(namespace)).To(HaveLen(1))
	g.Expect(project.Status.PullCredentials).NotTo(BeNil())
	g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"), "credentials are a part of their own")
	stop()

	stop = startManager(t, namespace, controllers.Settings{Clock: ahead(2 * time.Hour)})
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/CredentialsExpired"))
	}, soon, tick).Should(Succeed())
	stop()

	account.Faults().Clear()
	startManager(t, namespace, controllers.Settings{})
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/pull-requested-at":"`+time.Now().UTC().Format(time.RFC3339)+`"}}}`))
	g.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
}

func TestRemovedPullSecretIsMadeAgain(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func() []string { return pullSecrets(namespace) }, soon, tick).Should(HaveLen(1))
	g.Expect(kube.Delete(t.Context(), pullSecret(namespace, project.Name+"-pull"))).To(Succeed())
	g.Eventually(func() []string { return pullSecrets(namespace) }, soon, tick).Should(HaveLen(1))
}

func TestInvalidatedImagesAreRemoved(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.putImage(t, project, "old")
	time.Sleep(1100 * time.Millisecond) // times in the API have whole seconds
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"invalidatePushedBefore":"`+time.Now().UTC().Format(time.RFC3339)+`"}}`))
	g.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(kube.Get(context.Background(), keyOf(project), project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(*project.Status.Images.Count).To(BeZero())
		g.Expect(notes(namespace, "ImagesInvalidated")).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
	listed, err := account.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(listed.ImageDetails).To(BeEmpty())
}

func TestProjectOfAnotherAccountIsReachedByItsRole(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, allowAll)
	const role = "arn:aws:iam::123456789012:role/cross-account"
	account.makeRole(t, "cross-account", allowAll)
	startManager(t, namespace, controllers.Settings{AssumeRoles: []string{namespace + "=" + role}})
	runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN = role }))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	g.Expect(runner.Status.ControllerARN).To(Equal(role))
	out, err := account.ecr.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: &project.Status.Repository.Name})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*out.PolicyText).To(ContainSubstring(role))
}
