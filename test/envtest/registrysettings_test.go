package envtest

import (
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	registryname "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	registrytypes "github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/internal/sts"
	"imagecache.dev/test/awsemulator"
)

// anyTemplate lets ECR make any repository, mutable and without a policy, when somebody pushes to it.
func anyTemplate(prefix string) *ecr.CreateRepositoryCreationTemplateInput {
	return &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: &prefix, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable,
		AppliedFor:   []ecrtypes.RCTAppliedFor{ecrtypes.RCTAppliedForCreateOnPush, ecrtypes.RCTAppliedForReplication, ecrtypes.RCTAppliedForPullThroughCache},
		ResourceTags: []ecrtypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: awssdk.String("p1")}}, CustomRoleArn: awssdk.String("arn:aws:iam::123456789012:role/ecr-creates"),
	}
}

// A template changes only what ECR makes by itself: https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html
func TestCreationTemplatesMakeNoRepositoryOfAProject(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: time.Hour}
	for _, prefix := range []string{"ROOT", "gitpod-runner-r1"} {
		_, err := h.aws.ecr.CreateRepositoryCreationTemplate(t.Context(), anyTemplate(prefix))
		h.Expect(err).NotTo(HaveOccurred())
	}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(h.refresh(runner)).To(Succeed())
	name := project.Status.Repository.Name
	found, _ := h.aws.repository(t.Context(), name)
	h.Expect(found.Repositories[0].ImageTagMutability).To(Equal(ecrtypes.ImageTagMutabilityImmutable))
	asItShouldBe := h.aws.settings(name)

	// The repository is removed by hand while a runner has upload rights: they make no other one.
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	h.Expect(err).NotTo(HaveOccurred())
	password, err := sts.NewGranter(provider).Grant(t.Context(), aws.Target{Region: h.aws.Region()}, sts.Request{
		RoleARN: runner.Status.PushRoleARN, SessionName: "push", Project: "p1", Duration: 15 * time.Minute,
		Policy: sessionpolicy.Push(project.Status.Repository.ARN, time.Now().Add(15*time.Minute)),
	})
	h.Expect(err).NotTo(HaveOccurred())
	repository, err := registryname.NewRepository(project.Status.Repository.URI, registryname.Insecure)
	h.Expect(err).NotTo(HaveOccurred())
	upload := func() error {
		layer, err := random.Layer(100, registrytypes.OCILayer)
		h.Expect(err).NotTo(HaveOccurred())
		return remote.WriteLayer(repository, layer, remote.WithAuth(&authn.Basic{Username: password.Username, Password: password.Password}))
	}
	h.Expect(upload()).To(Succeed(), "the rights are good for the repository")
	_, err = h.aws.ecr.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(upload()).NotTo(Succeed())
	gone, _ := h.aws.repository(t.Context(), name)
	h.Expect(gone).To(BeNil(), "upload rights made a repository")

	// Somebody's push makes one, without our settings: it is not the project's. The status tells the two apart by the second
	// in which they were created.
	h.aws.Clock().Advance(2 * time.Second)
	_, err = h.aws.ecr.InitiateLayerUpload(t.Context(), &ecr.InitiateLayerUploadInput{RepositoryName: &name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(h.aws.settings(name)).NotTo(Equal(asItShouldBe))
	h.stop()
	h.startManager()
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/RepositoryNotOwned"))
		g.Expect(describe(project)).To(ContainSubstring("a repository creation template"))
	}, soon, tick).Should(Succeed())

	// Once it is removed, the project has its own again.
	_, err = h.aws.ecr.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
	h.Expect(err).NotTo(HaveOccurred())
	h.stop()
	h.startManager()
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(h.aws.settings(name)).To(Equal(asItShouldBe))
}

// The registry's scanning configuration decides over that of each repository, and may change what ECR shows of it. The
// cache promises nothing about it, so it is no drift.
func TestRegistryScanningIsNoDrift(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Drift: 100 * time.Millisecond, Sweep: 300 * time.Millisecond}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.Scanning = v1alpha1.ScanningAmazonInspector }))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name := project.Status.Repository.Name
	asItShouldBe := h.aws.settings(name)
	filters := []ecrtypes.ScanningRepositoryFilter{{Filter: awssdk.String("gitpod-runner-*"), FilterType: ecrtypes.ScanningRepositoryFilterTypeWildcard}}
	_, err := h.aws.ecr.PutRegistryScanningConfiguration(t.Context(), &ecr.PutRegistryScanningConfigurationInput{
		ScanType: ecrtypes.ScanTypeEnhanced, Rules: []ecrtypes.RegistryScanningRule{{ScanFrequency: ecrtypes.ScanFrequencyScanOnPush, RepositoryFilters: filters}},
	})
	h.Expect(err).NotTo(HaveOccurred())
	found, _ := h.aws.repository(t.Context(), name)
	h.Expect(found.Repositories[0].ImageScanningConfiguration.ScanOnPush).To(BeTrue(), "ECR shows what the registry decides")
	writes, swept := h.aws.writes(), h.aws.Calls().Count("ecr:GetRepositoryPolicy")
	h.Eventually(func() int { return h.aws.Calls().Count("ecr:GetRepositoryPolicy") }, soon, tick).Should(BeNumerically(">", swept+2))
	h.Expect(h.aws.writes()).To(Equal(writes), "nothing is written")
	h.Expect(h.aws.settings(name)).To(Equal(asItShouldBe))
	h.Expect(notesOf(project, "DriftCorrected")).To(BeEmpty())
}
