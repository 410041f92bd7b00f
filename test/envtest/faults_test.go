package envtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/awsemulator"
)

// Every write fails in turn: before it acts, after it acted so that only the answer is lost, or with the connection. Once
// the fault is gone, everything is as it would have been without.
func TestEveryWriteMayFailAndAllEndsConverged(t *testing.T) {
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	account.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	writes := []string{
		"ecr:CreateRepository", "ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy",
		"iam:CreateRole", "iam:PutRolePolicy", "ecr:GetAuthorizationToken",
	}
	kinds := map[string]awsemulator.Fault{
		"refused":         {Code: "ServerException", Status: 500},
		"answer lost":     {Code: "ServerException", Status: 500, AfterEffect: true},
		"connection lost": {DropConnection: true, AfterEffect: true},
	}
	number := 0
	for _, operation := range writes {
		for kind, fault := range kinds {
			number++
			runnerID := fmt.Sprintf("f%d", number)
			t.Run(operation+" "+kind, func(t *testing.T) {
				g, namespace := NewWithT(t), newNamespace(t)
				fault.Operation, fault.Next = operation, 5
				account.Faults().Add(fault)
				t.Cleanup(account.Faults().Clear)
				startManager(t, namespace, managerSettings{})
				runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID, s.StackName = runnerID, "runner-stack" }))
				project := create(t, projectObject(namespace, "p1", "r1"))
				create(t, requestObject(namespace, "e1", "p1"))
				g.Eventually(func(g Gomega) {
					g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
					g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
					g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
				}, 40*time.Second, tick).Should(Succeed())
				name := repositoryOf(runnerID, "p1")
				g.Expect(project.Status.Repository.Name).To(Equal(name))
				g.Expect(project.Status.Repository.Origin).To(Equal(v1alpha1.RepositoryCreated), "what the controller made it may remove")
				_, tags := account.repository(t.Context(), name)
				g.Expect(tags).To(HaveKeyWithValue("team", "core"))
				g.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", "cluster-1/"+namespace+"/p1"))
				g.Expect(account.lifecycleDays(t.Context(), name)).To(Equal(30))

				g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
				g.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, soon, tick).ShouldNot(Succeed())
				repository, _ := account.repository(t.Context(), name)
				g.Expect(repository).To(BeNil())
			})
		}
	}
}

func TestRepositoryThatReadsDoNotShowYetIsNotMadeTwice(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{ConsistencyDelay: 2 * time.Second}, leastPrivilege(t))
	account.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", Code: "ServerException", Status: 500, AfterEffect: true, Next: 1})
	startManager(t, namespace, managerSettings{driftInterval: 300 * time.Millisecond})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	}, 3*time.Second, tick).Should(Succeed())
	g.Expect(account.Calls().Count("ecr:CreateRepository") - account.Calls().Errors("ecr:CreateRepository")).To(BeNumerically("<=", 1))
}

func TestMissingPermissionNamesItsActionAndHealsWhenItArrives(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, strings.ReplaceAll(leastPrivilege(t), `"ecr:PutLifecyclePolicy",`, ""))
	startManager(t, namespace, managerSettings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionLifecyclePolicyReady)).To(Equal("False/AccessDenied"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/AccessDenied"))
		g.Expect(describe(project)).To(ContainSubstring("ecr:PutLifecyclePolicy"))
	}, soon, tick).Should(Succeed())
	for _, other := range []string{v1alpha1.ConditionRepositoryReady, v1alpha1.ConditionRepositoryPolicyReady, v1alpha1.ConditionTagsReady} {
		g.Expect(reason(g, project, other)).To(Equal("True/Succeeded"), other)
	}
	account.permit(t, "imagecache-controller", leastPrivilege(t))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, time.Minute, tick).Should(Succeed())
}

func TestProjectsDoWithoutTheInventory(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, strings.ReplaceAll(leastPrivilege(t), `, "tag:GetResources"`, ""))
	startManager(t, namespace, managerSettings{driftInterval: time.Second})
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
	stop := startManager(t, namespace, managerSettings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	stop()

	// A manager whose clock says that the credentials are old tries to replace them and can't.
	account.Faults().Add(awsemulator.Fault{Operation: "ecr:GetAuthorizationToken", Code: "ServerException", Status: 500})
	stop = startManager(t, namespace, managerSettings{clock: ahead(45 * time.Minute)})
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/RefreshFailed"))
	}, soon, tick).Should(Succeed())
	g.Expect(pullSecrets(namespace)).To(HaveLen(1))
	g.Expect(project.Status.PullCredentials).NotTo(BeNil())
	g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"), "credentials are a part of their own")
	stop()

	stop = startManager(t, namespace, managerSettings{clock: ahead(2 * time.Hour)})
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/CredentialsExpired"))
	}, soon, tick).Should(Succeed())
	stop()

	account.Faults().Clear()
	startManager(t, namespace, managerSettings{})
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/pull-requested-at":"`+time.Now().UTC().Format(time.RFC3339)+`"}}}`))
	g.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
}

func TestRemovedPullSecretIsMadeAgain(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, managerSettings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func() []string { return pullSecrets(namespace) }, soon, tick).Should(HaveLen(1))
	g.Expect(kube.Delete(t.Context(), pullSecret(namespace, project.Name+"-pull"))).To(Succeed())
	g.Eventually(func() []string { return pullSecrets(namespace) }, soon, tick).Should(HaveLen(1))
}

func TestImagesAreCounted(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, managerSettings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(account.Calls().Count("ecr:DescribeImages")).To(Equal(0), "figures are read where something was published")

	request := create(t, requestObject(namespace, "e1", "p1"))
	now := nowTime()
	request.Status.Role, request.Status.CacheResult, request.Status.Reason, request.Status.FinishedAt = v1alpha1.RoleBuilder, v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound, &now
	request.Status.Image = &v1alpha1.CachedImage{Reference: "r@sha256:" + request.Spec.ConfigHash, Digest: "sha256:" + request.Spec.ConfigHash}
	g.Expect(kube.Status().Update(t.Context(), request)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(kube.Get(context.Background(), client.ObjectKeyFromObject(project), project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(*project.Status.Images.Count).To(Equal(int64(0)))
		g.Expect(project.Status.Images.EstimatedMonthlyCostUSD).To(Equal("0.00"))
	}, soon, tick).Should(Succeed())
	g.Expect(account.Calls().Count("ecr:DescribeImages")).To(Equal(1))
}

func TestInvalidatedImagesAreRemoved(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, managerSettings{})
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
	startManager(t, namespace, managerSettings{allowedRoles: map[string][]string{namespace: {role}}})
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
