package envtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	awsecr "imagecache.dev/internal/ecr"
	"imagecache.dev/test/awsemulator"
)

// notes are the texts of the namespace's events with a reason.
func notes(namespace, reason string) []string {
	var list eventsv1.EventList
	if err := kube.List(context.Background(), &list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var found []string
	for _, event := range list.Items {
		if event.Reason == reason {
			found = append(found, event.Note)
		}
	}
	return found
}

// settings is what can drift of a repository, as text.
func (c *cloud) settings(name string) string {
	ctx := context.Background()
	repository, tags := c.repository(ctx, name)
	if repository == nil {
		return "no repository"
	}
	policy := "none"
	if out, err := c.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name}); err == nil {
		policy = *out.PolicyText
	}
	return fmt.Sprint(repository.Repositories[0].ImageTagMutability, " ", c.lifecycleDays(ctx, name), " ", tags, " ", policy)
}

// notesOf are the texts of the events about one object with a reason.
func notesOf(object client.Object, reason string) []string {
	var list eventsv1.EventList
	if err := kube.List(context.Background(), &list, client.InNamespace(object.GetNamespace())); err != nil {
		return nil
	}
	var found []string
	for _, event := range list.Items {
		if event.Reason == reason && event.Regarding.UID == object.GetUID() {
			found = append(found, event.Note)
		}
	}
	return found
}

// Each kind of drift has a project of its own, so that its events are told apart.
func TestDriftIsPutRightAndTold(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core", "stage": "prod"})
	h.settings.Intervals = controllers.Intervals{Drift: 500 * time.Millisecond, Sweep: time.Second, Stack: time.Second, StackCalls: 10000}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))

	for number, drift := range []struct {
		what string
		do   func(ctx context.Context, name, arn string) error
		told string
	}{
		{"mutability switched off", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable})
			return err
		}, "image tags were mutable"},
		{"some tags excluded from immutability", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{
				RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutableWithExclusion, ImageTagMutabilityExclusionFilters: tagFilters("latest*", "dev-*"),
			})
			return err
		}, "image tags like latest*, dev-* were mutable"},
		{"only some tags immutable", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{
				RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutableWithExclusion, ImageTagMutabilityExclusionFilters: tagFilters("release-*"),
			})
			return err
		}, "image tags other than release-* were mutable"},
		{"a tag of the stack changed by hand", func(ctx context.Context, _, arn string) error {
			_, err := h.aws.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: &arn, Tags: []ecrtypes.Tag{{Key: ptrTo("team"), Value: ptrTo("mine")}}})
			return err
		}, "tags were missing or had other values: team"},
		{"a tag of the stack removed by hand", func(ctx context.Context, _, arn string) error {
			_, err := h.aws.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"stage"}})
			return err
		}, "tags were missing or had other values: stage"},
		{"all tags of the stack removed by hand", func(ctx context.Context, _, arn string) error {
			_, err := h.aws.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"stage", "team"}})
			return err
		}, "tags were missing or had other values: stage, team"},
		{"the owner's tag removed by hand", func(ctx context.Context, _, arn string) error {
			_, err := h.aws.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"imagecache.dev/owner"}})
			return err
		}, "tags were missing or had other values: imagecache.dev/owner"},
		{"lifecycle policy removed", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: &name})
			return err
		}, "the lifecycle policy was removed"},
		{"lifecycle policy edited", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: ptrTo(awsecr.LifecyclePolicy(300))})
			return err
		}, "the lifecycle policy was changed"},
		{"images archived by the lifecycle policy", func(ctx context.Context, name, _ string) error {
			archiving := strings.Replace(awsecr.LifecyclePolicy(10), `"type":"expire"`, `"type":"transition","targetStorageClass":"archive"`, 1)
			_, err := h.aws.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &archiving})
			return err
		}, "the lifecycle policy was changed to archive images, which then can't be pulled"},
		{"repository policy removed", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &name})
			return err
		}, "the repository policy was removed"},
		{"repository policy edited", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: ptrTo(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage"]}]}`)})
			return err
		}, "the repository policy was changed"},
		{"repository deleted by hand", func(ctx context.Context, name, _ string) error {
			_, err := h.aws.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
			return err
		}, "the repository did not exist any more"},
	} {
		project := create(t, projectObject(h.namespace, fmt.Sprintf("p%d", number), "r1"))
		t.Run(drift.what, func(t *testing.T) {
			g := NewWithT(t)
			g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
			name := project.Status.Repository.Name
			asItShouldBe := h.aws.settings(name)
			g.Expect(notesOf(project, "DriftCorrected")).To(BeEmpty())
			g.Expect(drift.do(t.Context(), name, project.Status.Repository.ARN)).To(Succeed())
			g.Expect(h.aws.settings(name)).NotTo(Equal(asItShouldBe))
			g.Eventually(func() string { return h.aws.settings(name) }, soon, tick).Should(Equal(asItShouldBe))
			g.Eventually(func() []string { return notesOf(project, "DriftCorrected") }, soon, tick).Should(ConsistOf("corrected repository " + name + ": " + drift.told))
			g.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
		})
	}
	h.Expect(notes(h.namespace, "DriftNotSeen")).To(BeEmpty())
}

func tagFilters(filters ...string) []ecrtypes.ImageTagMutabilityExclusionFilter {
	var list []ecrtypes.ImageTagMutabilityExclusionFilter
	for _, filter := range filters {
		list = append(list, ecrtypes.ImageTagMutabilityExclusionFilter{Filter: &filter, FilterType: ecrtypes.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	return list
}

// Both policies were removed, and one can't be written for a while: the other is told at once, and the first one when it
// is there again, although no later pass finds it missing.
func TestDriftIsToldThoughPartOfItCannotBePutRight(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: time.Hour, Sweep: 3 * time.Second}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name := project.Status.Repository.Name
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:SetRepositoryPolicy", Code: "ServerException", Status: 500})
	_, err := h.aws.ecr.DeleteRepositoryPolicy(t.Context(), &ecr.DeleteRepositoryPolicyInput{RepositoryName: &name})
	h.Expect(err).NotTo(HaveOccurred())
	_, err = h.aws.ecr.DeleteLifecyclePolicy(t.Context(), &ecr.DeleteLifecyclePolicyInput{RepositoryName: &name})
	h.Expect(err).NotTo(HaveOccurred())
	lifecycle, policy := "corrected repository "+name+": the lifecycle policy was removed", "corrected repository "+name+": the repository policy was removed"
	h.Eventually(func() []string { return notesOf(project, "DriftCorrected") }, soon, tick).Should(ConsistOf(lifecycle))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionRepositoryPolicyReady)).To(HavePrefix("False/"))
	}, soon, tick).Should(Succeed())
	h.aws.Faults().Clear()
	h.Eventually(func() []string { return notesOf(project, "DriftCorrected") }, soon, tick).Should(ConsistOf(lifecycle, policy))
}

// A repository that is gone is made again by the pass that reads its policies, even if the inventory still has it.
func TestSweepFindsThatTheRepositoryIsGone(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: time.Hour, Sweep: time.Second}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name := project.Status.Repository.Name
	asItShouldBe := h.aws.settings(name)
	_, err := h.aws.ecr.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Eventually(func() string { return h.aws.settings(name) }, soon, tick).Should(Equal(asItShouldBe))
	h.Eventually(func() []string { return notesOf(project, "DriftCorrected") }, soon, tick).Should(ConsistOf("corrected repository " + name + ": the repository did not exist any more"))
	h.Expect(notes(h.namespace, "DriftNotSeen")).To(BeEmpty())
}

func TestTagsFollowTheStackAndForeignTagsStay(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core", "stage": "prod"})
	h.settings.Intervals = controllers.Intervals{Stack: time.Second, StackCalls: 10000}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name, arn := project.Status.Repository.Name, project.Status.Repository.ARN
	_, err := h.aws.ecr.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: &arn, Tags: []ecrtypes.Tag{{Key: ptrTo("scanner"), Value: ptrTo("yes")}}})
	h.Expect(err).NotTo(HaveOccurred())

	h.aws.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge", "cost-center": "7"})
	h.Eventually(func(g Gomega) {
		_, tags := h.aws.repository(context.Background(), name)
		g.Expect(tags).To(HaveKeyWithValue("team", "edge"))
		g.Expect(tags).To(HaveKeyWithValue("cost-center", "7"))
		g.Expect(tags).NotTo(HaveKey("stage"))
		g.Expect(tags).To(HaveKeyWithValue("scanner", "yes"))
		g.Expect(tags).To(HaveKey("imagecache.dev/owner"))
	}, soon, tick).Should(Succeed())
}

func TestTagsWithoutRoomAreNamedAndTheCacheWorks(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	tags := map[string]string{}
	for n := range 50 {
		tags[fmt.Sprintf("tag-%02d", n)] = "x"
	}
	h.aws.stack(t, "runner-stack", "1", tags)
	h.startManager()
	create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, project, v1alpha1.ConditionTagsReady)).To(Equal("False/TooManyTags"))
		g.Expect(describe(project)).To(ContainSubstring("tag-49"))
	}, soon, tick).Should(Succeed())
	_, set := h.aws.repository(t.Context(), project.Status.Repository.Name)
	h.Expect(set).To(HaveLen(50))
	h.Expect(set).To(HaveKey("imagecache-project"))
}
