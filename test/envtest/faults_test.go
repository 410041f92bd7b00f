package envtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

func TestRepositoryThatReadsDoNotShowYetIsNotMadeTwice(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{ConsistencyDelay: 2 * time.Second}, leastPrivilege(t)))
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", Code: "ServerException", Status: 500, AfterEffect: true, Next: 1})
	h.settings.Intervals = controllers.Intervals{Drift: 300 * time.Millisecond}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	// Of the first, the answer to its creation is lost, and reads don't show it.
	lost := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, lost, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:CreateRepository")).To(Equal(h.aws.Calls().Errors("ecr:CreateRepository")), "no second one is made")

	// The second is known to be made. The lists that drift is found in don't show it, and that is no drift.
	h.aws.Calls().Reset()
	made := create(t, projectObject(h.namespace, "p2", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, made, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Consistently(func(g Gomega) {
		g.Expect(reason(g, made, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(h.aws.Calls().Count("ecr:CreateRepository")).To(Equal(1))
	}, 2500*time.Millisecond, tick).Should(Succeed())
	h.Expect(notes(h.namespace, "DriftCorrected")).To(BeEmpty())

	// A third is deleted before reads show it, and is not left behind.
	brief := create(t, projectObject(h.namespace, "p3", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, brief, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(kube.Delete(t.Context(), brief)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(brief), brief) }, soon, tick).ShouldNot(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:DeleteRepository")).To(Equal(1))
}

// A manager that has just started remembers of no repository that it was made.
func TestNewRepositoryIsNotLeftBehindByAManagerThatStarts(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{ConsistencyDelay: 4 * time.Second}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.stop()
	h.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	h.startManager()
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(project), project) }, soon, tick).ShouldNot(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:DeleteRepository")).To(Equal(1))
}

func TestProjectsDoWithoutTheInventory(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, strings.ReplaceAll(leastPrivilege(t), `, "tag:GetResources"`, "")))
	h.settings.Intervals = controllers.Intervals{Drift: time.Second}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"retentionDays":9}}`))
	h.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	h.Eventually(func() int { return h.aws.lifecycleDays(context.Background(), project.Status.Repository.Name) }, soon, tick).Should(Equal(9))
	h.Expect(reason(h, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	h.Eventually(func() []string { return notes(h.namespace, "DriftNotSeen") }, soon, tick).Should(ContainElement(ContainSubstring("tag:GetResources")))
}

func TestCredentialsThatCannotBeReplacedStayUntilTheyRunOut(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	h.stop()

	// A manager whose clock says that the credentials are old tries to replace them and can't.
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:GetAuthorizationToken", Code: "ServerException", Status: 500})
	h.settings.Clock = ahead(45 * time.Minute)
	h.startManager()
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/RefreshFailed"))
	}, soon, tick).Should(Succeed())
	h.Expect(pullSecrets(h.namespace)).To(HaveLen(1))
	h.Expect(project.Status.PullCredentials).NotTo(BeNil())
	h.Expect(reason(h, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"), "credentials are a part of their own")
	h.stop()

	h.settings.Clock = ahead(2 * time.Hour)
	h.startManager()
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/CredentialsExpired"))
	}, soon, tick).Should(Succeed())
	h.stop()

	h.aws.Faults().Clear()
	h.settings.Clock = clock.RealClock{}
	h.startManager()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/pull-requested-at":"`+time.Now().UTC().Format(time.RFC3339)+`"}}}`))
	h.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
}

func TestRemovedPullSecretIsMadeAgain(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func() []string { return pullSecrets(h.namespace) }, soon, tick).Should(HaveLen(1))
	h.Expect(kube.Delete(t.Context(), pullSecret(h.namespace, project.Name+"-pull"))).To(Succeed())
	h.Eventually(func() []string { return pullSecrets(h.namespace) }, soon, tick).Should(HaveLen(1))
}

func TestInvalidatedImagesAreRemoved(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.putImage(t, project, "old")
	time.Sleep(1100 * time.Millisecond) // times in the API have whole seconds
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"invalidatePushedBefore":"`+time.Now().UTC().Format(time.RFC3339)+`"}}`))
	h.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(kube.Get(context.Background(), keyOf(project), project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(*project.Status.Images.Count).To(BeZero())
		g.Expect(notes(h.namespace, "ImagesInvalidated")).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
	listed, err := h.aws.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(listed.ImageDetails).To(BeEmpty())
}

func TestProjectOfAnotherAccountIsReachedByItsRole(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, allowAll))
	const role = "arn:aws:iam::123456789012:role/cross-account"
	h.aws.makeRole(t, "cross-account", allowAll)
	h.settings.AssumeRoles = []string{h.namespace + "=" + role}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN = role }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	h.Expect(runner.Status.ControllerARN).To(Equal(role))
	out, err := h.aws.ecr.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: &project.Status.Repository.Name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(*out.PolicyText).To(ContainSubstring(role))
}
