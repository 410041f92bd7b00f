package envtest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

func projectObject(namespace, name, runner string, change ...func(*v1alpha1.ProjectImageCacheSpec)) *v1alpha1.ProjectImageCache {
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: runner}, ProjectID: name},
	}
	for _, c := range change {
		c(&project.Spec)
	}
	return project
}

func repositoryOf(runnerID, projectID string) string {
	return "gitpod-runner-" + runnerID + "/projects/" + projectID + "/image-build"
}

func TestProjectGetsItsRepositoryInThreeCalls(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.aws.Calls().Reset()

	days := int32(12)
	project := create(t, projectObject(h.namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) {
		s.RetentionDays = &days
		s.Tags = []v1alpha1.Tag{{Key: "tier", Value: ptrTo("gold")}, {Key: "team", Value: ptrTo("mine")}}
	}))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	for _, condition := range []string{v1alpha1.ConditionRepositoryReady, v1alpha1.ConditionLifecyclePolicyReady, v1alpha1.ConditionRepositoryPolicyReady, v1alpha1.ConditionTagsReady} {
		h.Expect(reason(h, project, condition)).To(Equal("True/Succeeded"), condition)
	}
	h.Expect(h.aws.Calls().Counts()).To(Equal(map[string]int{"ecr:CreateRepository": 1, "ecr:PutLifecyclePolicy": 1, "ecr:SetRepositoryPolicy": 1}))

	name := repositoryOf("r1", "p1")
	repository, tags := h.aws.repository(t.Context(), name)
	h.Expect(repository).NotTo(BeNil())
	h.Expect(string(repository.Repositories[0].ImageTagMutability)).To(Equal("IMMUTABLE"))
	h.Expect(h.aws.lifecycleDays(t.Context(), name)).To(Equal(12))
	h.Expect(tags).To(HaveKeyWithValue("team", "core"), "inherited tags win")
	h.Expect(tags).To(HaveKeyWithValue("tier", "gold"))
	h.Expect(tags).To(HaveKeyWithValue("imagecache-project", "p1"))
	h.Expect(tags).To(HaveKeyWithValue("imagecache.dev/owner", ownerOf(project)))
	h.Expect(project.Status.Repository.URI).To(Equal(h.aws.RegistryHost() + "/" + name))
	h.Expect(project.Status.Repository.Origin).To(Equal(v1alpha1.RepositoryCreated))
	h.Expect(project.Status.PullCredentials).To(BeNil(), "pull credentials are made when somebody asks")
}

func TestFirstRequestBringsPullCredentials(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")).To(Equal(0))

	create(t, requestObject(h.namespace, "e1", "p1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	h.Expect(project.Status.PullCredentials.SecretName).To(Equal("p1-pull"))
	h.Expect(time.Until(project.Status.PullCredentials.ExpiresAt.Time)).To(BeNumerically("~", time.Hour, time.Minute))
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")).To(Equal(1))
}

func requestObject(namespace, environment, project string) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: environment},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: project}, EnvironmentID: environment, Trigger: v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationImage,
			ConfigHash:        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		},
	}
}

func ptrTo[T any](value T) *T { return &value }

func TestRepositoryIsEncryptedAsAsked(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	made, err := kms.NewFromConfig(h.aws.config).CreateKey(t.Context(), &kms.CreateKeyInput{})
	h.Expect(err).NotTo(HaveOccurred())
	key := *made.KeyMetadata.Arn
	project := create(t, projectObject(h.namespace, "p1", "r1", func(s *v1alpha1.ProjectImageCacheSpec) {
		s.Encryption = v1alpha1.Encryption{Type: v1alpha1.EncryptionKMS, KMSKeyARN: key}
	}))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	repository, _ := h.aws.repository(t.Context(), project.Status.Repository.Name)
	h.Expect(*repository.Repositories[0].EncryptionConfiguration.KmsKey).To(Equal(key))
}
