package envtest

import (
	"context"
	"strings"
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

// ownerOf is the owner's tag of a project's repository, and earlierOwnerOf what earlier versions set.
func ownerOf(project *v1alpha1.ProjectImageCache) string {
	return earlierOwnerOf(project) + "/" + string(project.UID)
}

func earlierOwnerOf(project *v1alpha1.ProjectImageCache) string {
	return "cluster-1/" + project.Namespace + "/" + project.Name
}

func TestAdoptionPolicyDecidesAboutRepositoriesThatExist(t *testing.T) {
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	foreign := map[string]string{"imagecache.dev/owner": "cluster-9/other/p1", "imagecache.dev/origin": "Created"}
	// Whoever knows the cluster, the namespace and the name can create a repository like that before the object exists.
	guessed := map[string]string{"imagecache.dev/owner": "cluster-1/NAMESPACE/p1", "imagecache.dev/origin": "Created"}
	for name, test := range map[string]struct {
		tags   map[string]string
		policy v1alpha1.AdoptionPolicy
		want   string
	}{
		"untagged, never":                 {nil, v1alpha1.AdoptNever, "False/RepositoryNotOwned"},
		"untagged, if untagged":           {nil, v1alpha1.AdoptIfUntagged, "True/Succeeded"},
		"untagged, always":                {nil, v1alpha1.AdoptAlways, "True/Succeeded"},
		"of another cluster, if untagged": {foreign, v1alpha1.AdoptIfUntagged, "False/RepositoryNotOwned"},
		"with a guessed tag, never":       {guessed, v1alpha1.AdoptNever, "False/RepositoryNotOwned"},
		"with a guessed tag, if untagged": {guessed, v1alpha1.AdoptIfUntagged, "True/Succeeded"},
		"of another cluster, always":      {foreign, v1alpha1.AdoptAlways, "True/Succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newWorld(t, account)
			repository := repositoryOf(h.namespace, "p1")
			tags := []ecrtypes.Tag{}
			for key, value := range test.tags {
				tags = append(tags, ecrtypes.Tag{Key: &key, Value: ptrTo(strings.ReplaceAll(value, "NAMESPACE", h.namespace))})
			}
			_, err := account.ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &repository, Tags: tags})
			h.Expect(err).NotTo(HaveOccurred())
			h.startManager()
			create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = h.namespace }))
			account.Calls().Reset()
			project := create(t, projectObject(h.namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy = test.policy }))
			h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal(test.want)) }, soon, tick).Should(Succeed())

			_, now := account.repository(t.Context(), repository)
			if test.want != "True/Succeeded" {
				h.Expect(account.writes()).To(Equal(1), "only the CreateRepository that was refused")
				h.Expect(now).To(HaveLen(len(test.tags)))
				return
			}
			h.Expect(project.Status.Repository.Origin).To(Equal(v1alpha1.RepositoryAdopted))
			h.Expect(now).To(HaveKeyWithValue("imagecache.dev/owner", ownerOf(project)))
			found, _ := account.repository(t.Context(), repository)
			h.Expect(string(found.Repositories[0].ImageTagMutability)).To(Equal("IMMUTABLE"))
			h.Expect(kube.Delete(t.Context(), project)).To(Succeed())
			h.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, soon, tick).ShouldNot(Succeed())
			found, now = account.repository(t.Context(), repository)
			h.Expect(found).NotTo(BeNil(), "what the controller did not make, it does not remove")
			h.Expect(now).NotTo(HaveKey("imagecache.dev/owner"))
		})
	}
}

func TestSecondObjectForARepositoryNeverWrites(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: time.Second}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	first := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.Calls().Reset()
	second := create(t, projectObject(h.namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID = "p1" }))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:CreateRepository")).To(Equal(h.aws.writes()))

	// The second one's deletion leaves the first one's repository alone, and the first one's deletion makes room.
	h.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	h.Eventually(func(g Gomega) { g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
}

// A new cluster takes a repository over; the old one, which is still there and says Always too, stops writing.
func TestOldClusterStopsWritingOnceANewOneTookOver(t *testing.T) {
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	before, after := newWorld(t, account), newWorld(t, account)
	always := func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy, s.ProjectID = v1alpha1.AdoptAlways, "shop" }
	before.settings.ClusterUID, before.settings.Intervals = "old", controllers.Intervals{Drift: 300 * time.Millisecond}
	before.startManager()
	create(t, runnerObject(before.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.RunnerID = "same" }))
	first := create(t, projectObject(before.namespace, "p1", "r1", always))
	before.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	account.putImage(t, first, "cached")

	// The runner's roles stay with the old cluster until it removes them, so the new one brings its own.
	pull, push := account.makeRole(t, "imagecache-new-pull", allowAll), account.makeRole(t, "imagecache-new-push", allowAll)
	after.settings.ClusterUID, after.settings.Intervals = "new", controllers.Intervals{Drift: 300 * time.Millisecond}
	after.startManager()
	create(t, runnerObject(after.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.RunnerID, s.Roles = "same", v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: push}
	}))
	second := create(t, projectObject(after.namespace, "p1", "r1", always))
	after.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, first, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	after.Expect(notes(after.namespace, "RepositoryAdopted")).To(HaveLen(1))
	writes := account.writes()
	after.Consistently(func() int { return account.writes() }, 2*time.Second, tick).Should(Equal(writes), "nobody takes it back")
	after.Expect(kube.Delete(t.Context(), first)).To(Succeed())
	after.Eventually(func() error { return kube.Get(context.Background(), keyOf(first), first) }, soon, tick).ShouldNot(Succeed())
	found, tags := account.repository(t.Context(), second.Status.Repository.Name)
	after.Expect(found).NotTo(BeNil())
	after.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", "new/"+after.namespace+"/p1/"+string(second.UID)))
	images, err := account.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &second.Status.Repository.Name})
	after.Expect(err).NotTo(HaveOccurred())
	after.Expect(images.ImageDetails).To(HaveLen(1), "images stay")
}

// In one cluster, Always takes nothing from an object that is there.
func TestSecondObjectForARepositoryTakesNothingEvenIfItMayAdopt(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: 300 * time.Millisecond}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	first := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.Calls().Reset()
	second := create(t, projectObject(h.namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID, s.AdoptionPolicy = "p1", v1alpha1.AdoptAlways }))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionStalled)).To(Equal("True/RepositoryNotOwned"))
		g.Expect(describe(second)).To(ContainSubstring(h.namespace + "/p1"))
	}, soon, tick).Should(Succeed())
	h.Consistently(func() int { return h.aws.writes() - h.aws.Calls().Errors("ecr:CreateRepository") }, time.Second, tick).Should(BeZero())
	h.Expect(reason(h, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
}

func TestDeletionOfTheRefusedLeavesTheOwnersRepository(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	first := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, first, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	second := create(t, projectObject(h.namespace, "p2", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.ProjectID = "p1" }))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, second, v1alpha1.ConditionReady)).To(Equal("False/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	h.Expect(kube.Delete(t.Context(), second)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(second), second) }, soon, tick).ShouldNot(Succeed())
	repository, tags := h.aws.repository(t.Context(), first.Status.Repository.Name)
	h.Expect(repository).NotTo(BeNil())
	h.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", ownerOf(first)))
}

func TestRetainKeepsTheRepository(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.DeletionPolicy = v1alpha1.DeletionRetain }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, soon, tick).ShouldNot(Succeed())
	repository, tags := h.aws.repository(t.Context(), repositoryOf("r1", "p1"))
	h.Expect(repository).NotTo(BeNil())
	h.Expect(tags).NotTo(HaveKey("imagecache.dev/owner"))
}

func TestAbandonedObjectsGoWithoutAWS(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.Faults().Add(awsemulator.Fault{Operation: "*", Code: "AccessDeniedException", Message: "the account is gone"})
	h.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	h.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	h.Consistently(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(project), project) }, time.Second, tick).Should(Succeed())
	for _, object := range []client.Object{project, runner} {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/abandon":"account closed"}}}`))
		h.Expect(kube.Patch(t.Context(), object, patch)).To(Succeed())
		h.Eventually(func() error { return kube.Get(context.Background(), client.ObjectKeyFromObject(object), object) }, soon, tick).ShouldNot(Succeed())
	}
	h.Eventually(func() []string { return notes(h.namespace, "Abandoned") }, soon, tick).Should(HaveLen(2))
}

func TestDisabledRunnerKeepsWhatIsThereAndEndsPulls(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.Tier = v1alpha1.TierCore }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	policyOf := func() string {
		out, err := h.aws.ecr.GetRepositoryPolicy(context.Background(), &ecr.GetRepositoryPolicyInput{RepositoryName: &project.Status.Repository.Name})
		if err != nil {
			return ""
		}
		return *out.PolicyText
	}
	h.Expect(policyOf()).To(ContainSubstring("imagecache-r1-us-east-1-pull"))
	h.aws.putImage(t, project, "cached")

	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cache":"Disabled"}}`))
	h.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("False/Disabled"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Disabled"))
		g.Expect(policyOf()).NotTo(ContainSubstring("imagecache-r1-us-east-1-pull"))
		g.Expect(pullSecrets(h.namespace)).To(BeEmpty())
	}, soon, tick).Should(Succeed())
	h.Expect(project.Status.PullCredentials).To(BeNil())
	images, err := h.aws.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(images.ImageDetails).To(HaveLen(1), "what is cached stays")
	h.Expect(h.aws.lifecycleDays(t.Context(), project.Status.Repository.Name)).To(Equal(30), "until it expires")

	patch = client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cache":"Enabled"}}`))
	h.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		g.Expect(pullSecrets(h.namespace)).To(HaveLen(1))
	}, soon, tick).Should(Succeed())
}

// A repository that an earlier version set up goes on serving, and gets the new tag without being drift.
func TestRepositoryOfAnEarlierVersionGoesOnServing(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: 300 * time.Millisecond}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.ask("p1", "e1", hashOf("warm")).publish()
	h.stop()

	repository := project.Status.Repository
	_, err := h.aws.controller.TagResource(t.Context(), &ecr.TagResourceInput{
		ResourceArn: &repository.ARN, Tags: []ecrtypes.Tag{{Key: ptrTo("imagecache.dev/owner"), Value: ptrTo(earlierOwnerOf(project))}},
	})
	h.Expect(err).NotTo(HaveOccurred())
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"repository":{"createdAt":null}}}`))
	h.Expect(kube.Status().Patch(t.Context(), project, patch)).To(Succeed())
	h.aws.Calls().Reset()

	h.startManager()
	h.ask("p1", "e2", hashOf("warm")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Eventually(func(g Gomega) {
		_, tags := h.aws.repository(t.Context(), repository.Name)
		g.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", ownerOf(project)))
		g.Expect(kube.Get(t.Context(), keyOf(project), project)).To(Succeed())
		g.Expect(project.Status.Repository.CreatedAt).NotTo(BeNil())
	}, soon, tick).Should(Succeed())
	h.Expect(reason(h, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	h.Expect(notesOf(project, "DriftCorrected")).To(BeEmpty())
	h.Expect(h.aws.Calls().Count("ecr:PutLifecyclePolicy")+h.aws.Calls().Count("ecr:SetRepositoryPolicy")).To(BeZero(), "only the tag changes")
}

// What was created under the name after the repository was removed is not the repository that the status records.
func TestRepositoryCreatedAnewByOthersIsNotTakenOver(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.stop()
	name := project.Status.Repository.Name
	_, err := h.aws.ecr.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
	h.Expect(err).NotTo(HaveOccurred())
	h.aws.Clock().Advance(time.Second)
	_, err = h.aws.ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: &name, Tags: []ecrtypes.Tag{{Key: ptrTo("imagecache.dev/owner"), Value: ptrTo(earlierOwnerOf(project))}},
	})
	h.Expect(err).NotTo(HaveOccurred())
	h.aws.Calls().Reset()
	h.startManager()
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/RepositoryNotOwned"))
	}, soon, tick).Should(Succeed())
	h.Expect(h.aws.writes()).To(BeZero())
}
