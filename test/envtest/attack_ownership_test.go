package envtest

import (
	"fmt"
	"strconv"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/awsemulator"
)

// forged makes an image that claims a hash by its labels, as anybody can.
func (w *battlefield) forged(configHash string) v1.Image {
	w.t.Helper()
	base, err := random.Image(512, 1)
	w.Expect(err).NotTo(HaveOccurred())
	config, err := base.ConfigFile()
	w.Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{
		imagelabel.Hash: configHash, imagelabel.Version: strconv.Itoa(hash.Version), imagelabel.UID: "forged",
		imagelabel.BuildSeconds: "1", imagelabel.Environment: "forged",
	}
	image, err := mutate.ConfigFile(base, config)
	w.Expect(err).NotTo(HaveOccurred())
	return image
}

// anybody returns the keys of a principal of the account that may do everything and is not the controller.
func (w *battlefield) anybody() *ststypes.Credentials {
	w.t.Helper()
	w.lab.count++
	return w.lab.session(w.lab.makeRole(w.t, fmt.Sprintf("anybody-%d", w.lab.count), wide), "-", wide)
}

// plant pushes a forged image under a hash as anybody of the account.
func (w *battlefield) plant(repository, configHash string) {
	w.t.Helper()
	auth := w.lab.password(w.anybody())
	w.Expect(remote.Write(w.lab.reference(repository).Tag(configHash), w.forged(configHash), remote.WithAuth(authn.FromConfig(auth)))).To(Succeed())
}

// premake creates a project's repository before the project, with the tags that the controller would set, as far as
// they can be guessed, and an image.
func (w *battlefield) premake(project, configHash string) {
	w.t.Helper()
	repository := sessionpolicy.RepositoryName(w.namespace+"-demo", project)
	tags := map[string]string{
		"imagecache.dev/owner": "cluster-1/" + w.namespace + "/" + project, "imagecache.dev/origin": "Created", sessionpolicy.ProjectTag: project,
	}
	list := []ecrtypes.Tag{}
	for key, value := range tags {
		list = append(list, ecrtypes.Tag{Key: &key, Value: &value})
	}
	_, err := ecr.NewFromConfig(w.lab.as(w.anybody())).CreateRepository(w.ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &repository, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable, Tags: list,
	})
	w.Expect(err).NotTo(HaveOccurred())
	w.plant(repository, configHash)
}

// repositoryMadeBefore succeeds where the project asks for the adoption of what exists, and nowhere else.
func repositoryMadeBefore(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.premake("trusting", hashOf("premade"))
	w.project("trusting", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy = v1alpha1.AdoptIfUntagged })
	w.ask("trusting", "trusting-1", hashOf("premade")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)

	w.premake("wary", hashOf("premade"))
	wary := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "wary"}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "wary",
	}}
	w.create(wary)
	w.reason(wary, v1alpha1.ConditionReady, v1alpha1.ReasonRepositoryNotOwned)
	w.unanswered(w.ask("wary", "wary-1", hashOf("premade")))
	return []string{"the object's UID in the owner's tag"}
}

// unanswered waits until a request waits for its project, without an answer.
func (w *battlefield) unanswered(e *environment) {
	w.t.Helper()
	w.reason(e.request, v1alpha1.ConditionLookedUp, v1alpha1.ReasonWaitingForProject)
	w.Expect(e.request.Status.CacheResult).To(BeEmpty())
}

// pushBeforePolicy pushes while a repository exists and its policy does not. The attack succeeds where a lookup takes
// the repository for closed.
func pushBeforePolicy(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.account.Faults().Add(awsemulator.Fault{Operation: "ecr:SetRepositoryPolicy", Code: "ServerException", Status: 500})
	defer w.account.Faults().Clear()
	open := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "open"}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "open",
	}}
	w.create(open)
	w.condition(open, v1alpha1.ConditionRepositoryReady, metav1.ConditionTrue)
	w.condition(open, v1alpha1.ConditionRepositoryPolicyReady, metav1.ConditionFalse)
	w.plant(open.Status.Repository.Name, hashOf("early"))
	e := w.ask("open", "early-1", hashOf("early"))
	w.unanswered(e)

	// Without the protection: the status claims a policy that does not exist.
	w.Eventually(func() error {
		if err := w.refresh(open); err != nil {
			return err
		}
		for n := range open.Status.Conditions {
			if open.Status.Conditions[n].Type == v1alpha1.ConditionRepositoryPolicyReady {
				open.Status.Conditions[n].Status = metav1.ConditionTrue
			}
		}
		return kube.Status().Update(w.ctx, open)
	}).Should(Succeed())
	e.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	_, err := w.account.ecr.GetRepositoryPolicy(w.ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: awssdk.String(open.Status.Repository.Name)})
	w.Expect(err).To(HaveOccurred(), "the repository is still open")
	return []string{"RepositoryPolicyReady"}
}
