package envtest

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

func TestAdoptionPolicyDecidesAboutRepositoriesThatExist(t *testing.T) {
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	foreign := map[string]string{"imagecache.dev/owner": "cluster-9/other/p1", "imagecache.dev/origin": "Created"}
	for name, test := range map[string]struct {
		tags   map[string]string
		policy v1alpha1.AdoptionPolicy
		want   string
	}{
		"untagged, never":                 {nil, v1alpha1.AdoptNever, "False/RepositoryNotOwned"},
		"untagged, if untagged":           {nil, v1alpha1.AdoptIfUntagged, "True/Succeeded"},
		"untagged, always":                {nil, v1alpha1.AdoptAlways, "True/Succeeded"},
		"of another cluster, if untagged": {foreign, v1alpha1.AdoptIfUntagged, "False/RepositoryNotOwned"},
		"of another cluster, always":      {foreign, v1alpha1.AdoptAlways, "True/Succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			g, namespace := NewWithT(t), newNamespace(t)
			repository := repositoryOf(namespace, "p1")
			tags := []ecrtypes.Tag{}
			for key, value := range test.tags {
				tags = append(tags, ecrtypes.Tag{Key: &key, Value: &value})
			}
			_, err := account.ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &repository, Tags: tags})
			g.Expect(err).NotTo(HaveOccurred())
			startManager(t, namespace, controllers.Settings{})
			create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = namespace }))
			account.Calls().Reset()
			project := create(t, projectObject(namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy = test.policy }))
			g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal(test.want)) }, soon, tick).Should(Succeed())

			_, now := account.repository(t.Context(), repository)
			if test.want != "True/Succeeded" {
				g.Expect(account.writes()).To(Equal(1), "only the CreateRepository that was refused")
				g.Expect(now).To(HaveLen(len(test.tags)))
				return
			}
			g.Expect(project.Status.Repository.Origin).To(Equal(v1alpha1.RepositoryAdopted))
			g.Expect(now).To(HaveKeyWithValue("imagecache.dev/owner", "cluster-1/"+namespace+"/p1"))
			found, _ := account.repository(t.Context(), repository)
			g.Expect(string(found.Repositories[0].ImageTagMutability)).To(Equal("IMMUTABLE"))
			g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
			g.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, soon, tick).ShouldNot(Succeed())
			found, now = account.repository(t.Context(), repository)
			g.Expect(found).NotTo(BeNil(), "what the controller did not make, it does not remove")
			g.Expect(now).NotTo(HaveKey("imagecache.dev/owner"))
		})
	}
}

func TestSecondObjectForARepositoryNeverWrites(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{Intervals: controllers.Intervals{Drift: time.Second}})
	create(t, runnerObject(namespace, "r1"))
	first := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.Calls().Reset()
	second := create(t, projectObject(namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID = "p1" }))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	g.Expect(account.Calls().Count("ecr:CreateRepository")).To(Equal(account.writes()))

	// The second one's deletion leaves the first one's repository alone, and the first one's deletion makes room.
	g.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	g.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
}

// A new cluster takes a repository over; the old one, which is still there and says Always too, stops writing.
func TestOldClusterStopsWritingOnceANewOneTookOver(t *testing.T) {
	g, before, after := NewWithT(t), newNamespace(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	always := func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy, s.ProjectID = v1alpha1.AdoptAlways, "shop" }
	startManager(t, before, controllers.Settings{ClusterUID: "old", Intervals: controllers.Intervals{Drift: 300 * time.Millisecond}})
	create(t, runnerObject(before, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	first := create(t, projectObject(before, "p1", "r1", always))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.putImage(t, first, "cached")

	// The runner's roles stay with the old cluster until it removes them, so the new one brings its own.
	pull, push := account.makeRole(t, "imagecache-new-pull", allowAll), account.makeRole(t, "imagecache-new-push", allowAll)
	startManager(t, after, controllers.Settings{ClusterUID: "new", Intervals: controllers.Intervals{Drift: 300 * time.Millisecond}})
	create(t, runnerObject(after, "r1", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.RunnerID, s.Roles = "same", v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: push}
	}))
	second := create(t, projectObject(after, "p1", "r1", always))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, first, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	g.Expect(notes(after, "RepositoryAdopted")).To(HaveLen(1))
	writes := account.writes()
	g.Consistently(func() int { return account.writes() }, 2*time.Second, tick).Should(Equal(writes), "nobody takes it back")
	g.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	g.Eventually(func() error { return kube.Get(context.Background(), keyOf(first), first) }, soon, tick).ShouldNot(Succeed())
	found, tags := account.repository(t.Context(), second.Status.Repository.Name)
	g.Expect(found).NotTo(BeNil())
	g.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", "new/"+after+"/p1"))
	images, err := account.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &second.Status.Repository.Name})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(images.ImageDetails).To(HaveLen(1), "images stay")
}

// In one cluster, Always takes nothing from an object that is there.
func TestSecondObjectForARepositoryTakesNothingEvenIfItMayAdopt(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{Intervals: controllers.Intervals{Drift: 300 * time.Millisecond}})
	create(t, runnerObject(namespace, "r1"))
	first := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.Calls().Reset()
	second := create(t, projectObject(namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID, s.AdoptionPolicy = "p1", v1alpha1.AdoptAlways }))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
		g.Expect(describe(second)).To(ContainSubstring(namespace + "/p1"))
	}, soon, tick).Should(Succeed())
	g.Consistently(func() int { return account.writes() - account.Calls().Errors("ecr:CreateRepository") }, time.Second, tick).Should(BeZero())
	g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
}

func TestDeletionOfTheRefusedLeavesTheOwnersRepository(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	create(t, runnerObject(namespace, "r1"))
	first := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	second := create(t, projectObject(namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID = "p1" }))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("False/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	g.Expect(kube.Delete(t.Context(), second)).To(Succeed())
	g.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(second), second) }, soon, tick).ShouldNot(Succeed())
	repository, tags := account.repository(t.Context(), first.Status.Repository.Name)
	g.Expect(repository).NotTo(BeNil())
	g.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", "cluster-1/"+namespace+"/p1"))
}

func TestRetainKeepsTheRepository(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.DeletionPolicy = v1alpha1.DeletionRetain }))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	g.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, soon, tick).ShouldNot(Succeed())
	repository, tags := account.repository(t.Context(), repositoryOf("r1", "p1"))
	g.Expect(repository).NotTo(BeNil())
	g.Expect(tags).NotTo(HaveKey("imagecache.dev/owner"))
}

func TestAbandonedObjectsGoWithoutAWS(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	runner := create(t, runnerObject(namespace, "r1"))
	project := create(t, projectObject(namespace, "p1", "r1"))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.Faults().Add(awsemulator.Fault{Operation: "*", Code: "AccessDeniedException", Message: "the account is gone"})
	g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	g.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	g.Consistently(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, time.Second, tick).Should(Succeed())
	for _, object := range []client.Object{project, runner} {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/abandon":"account closed"}}}`))
		g.Expect(kube.Patch(t.Context(), object, patch)).To(Succeed())
		g.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(object), object) }, soon, tick).ShouldNot(Succeed())
	}
	g.Eventually(func() []string { return notes(namespace, "Abandoned") }, soon, tick).Should(HaveLen(2))
}

func TestDisabledRunnerKeepsWhatIsThereAndEndsPulls(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	startManager(t, namespace, controllers.Settings{})
	runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.Tier = v1alpha1.TierCore }))
	project := create(t, projectObject(namespace, "p1", "r1"))
	create(t, requestObject(namespace, "e1", "p1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	policyOf := func() string {
		out, err := account.ecr.GetRepositoryPolicy(context.Background(), &ecr.GetRepositoryPolicyInput{RepositoryName: &project.Status.Repository.Name})
		if err != nil {
			return ""
		}
		return *out.PolicyText
	}
	g.Expect(policyOf()).To(ContainSubstring("imagecache-r1-us-east-1-pull"))
	account.putImage(t, project, "cached")

	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cache":"Disabled"}}`))
	g.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/Disabled"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Disabled"))
		g.Expect(policyOf()).NotTo(ContainSubstring("imagecache-r1-us-east-1-pull"))
		g.Expect(pullSecrets(namespace)).To(BeEmpty())
	}, soon, tick).Should(Succeed())
	g.Expect(project.Status.PullCredentials).To(BeNil())
	images, err := account.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(images.ImageDetails).To(HaveLen(1), "what is cached stays")
	g.Expect(account.lifecycleDays(t.Context(), project.Status.Repository.Name)).To(Equal(30), "until it expires")

	patch = client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cache":"Enabled"}}`))
	g.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		g.Expect(pullSecrets(namespace)).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
}
