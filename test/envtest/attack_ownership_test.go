package envtest

import (
	"fmt"
	"strconv"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/signedimage"
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

// stolen signs a forged image with the manager's own key, which nobody else has: where the signature protects nothing.
func (w *battlefield) stolen(repository string, image v1.Image) v1.Image {
	w.t.Helper()
	secret := &corev1.Secret{}
	w.Expect(kube.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: signingkeys.SecretName}, secret)).To(Succeed())
	keys, err := provenance.ParseKeySet(secret.Data)
	w.Expect(err).NotTo(HaveOccurred())
	claims, err := signedimage.Claims(image, sessionpolicy.RepositoryARN("aws", w.account.Region(), w.account.AccountID(), repository))
	w.Expect(err).NotTo(HaveOccurred())
	signed, err := signedimage.Sign(w.ctx, image, keys.Signer, claims)
	w.Expect(err).NotTo(HaveOccurred())
	return signed
}

// plant pushes an image under a hash as anybody of the account: a forged one, or one that the manager's key signed.
func (w *battlefield) plant(repository, configHash string, signed bool) {
	w.t.Helper()
	image := w.forged(configHash)
	if signed {
		image = w.stolen(repository, image)
	}
	auth := w.lab.password(w.anybody())
	w.Expect(remote.Write(w.lab.reference(repository).Tag(configHash), image, remote.WithAuth(authn.FromConfig(auth)))).To(Succeed())
}

// premake creates a project's repository before the project, with the tags that the controller would set, as far as
// they can be guessed, and an image.
func (w *battlefield) premake(project, configHash string, signed bool) {
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
	w.plant(repository, configHash, signed)
}

// repositoryMadeBefore succeeds where the project asks for the adoption of what exists and the images are signed.
func repositoryMadeBefore(t *testing.T, w *battlefield) []string {
	t.Helper()
	adopts := func(s *v1alpha1.ProjectImageCacheSpec) { s.AdoptionPolicy = v1alpha1.AdoptIfUntagged }
	w.premake("trusting", hashOf("premade"), true)
	w.project("trusting", "demo", adopts)
	w.ask("trusting", "trusting-1", hashOf("premade")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)

	w.premake("adopting", hashOf("premade"), false)
	w.project("adopting", "demo", adopts)
	w.ask("adopting", "adopting-1", hashOf("premade")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)

	w.premake("wary", hashOf("premade"), true)
	wary := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "wary"}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "wary",
	}}
	w.create(wary)
	w.reason(wary, v1alpha1.ConditionReady, v1alpha1.ReasonRepositoryNotOwned)
	w.unanswered(w.ask("wary", "wary-1", hashOf("premade")))
	return []string{"the object's UID in the owner's tag", signatureShield}
}

// signatureShield is the signature of the manager's key.
const signatureShield = "signature"

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
	w.plant(open.Status.Repository.Name, hashOf("early"), true)
	w.plant(open.Status.Repository.Name, hashOf("early unsigned"), false)
	signed, unsigned := w.ask("open", "early-1", hashOf("early")), w.ask("open", "early-2", hashOf("early unsigned"))
	w.unanswered(signed)
	w.unanswered(unsigned)

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
	signed.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	unsigned.answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	_, err := w.account.ecr.GetRepositoryPolicy(w.ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: awssdk.String(open.Status.Repository.Name)})
	w.Expect(err).To(HaveOccurred(), "the repository is still open")
	return []string{"RepositoryPolicyReady", signatureShield}
}

// replicatedImage pushes into a repository of the same name in another region and lets ECR bring the image here.
func replicatedImage(t *testing.T, w *battlefield) []string {
	t.Helper()
	away, err := awsemulator.Start(awsemulator.Options{Region: "eu-west-1", AccountID: w.account.AccountID(), RootMayAssumeRoles: true})
	w.Expect(err).NotTo(HaveOccurred())
	defer func() { w.Expect(away.Close()).To(Succeed()) }()
	w.Expect(away.Connect(w.account.Server)).To(Succeed())
	config := w.lab.config.Copy()
	config.Region, config.BaseEndpoint = away.Region(), awssdk.String(away.URL())
	config.Credentials = credentials.NewStaticCredentialsProvider(away.AccessKeyID(), away.SecretAccessKey(), "")
	there := ecr.NewFromConfig(config)
	_, err = there.CreateRepository(w.ctx, &ecr.CreateRepositoryInput{RepositoryName: &w.shop})
	w.Expect(err).NotTo(HaveOccurred())
	_, err = there.PutReplicationConfiguration(w.ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &ecrtypes.ReplicationConfiguration{
		Rules: []ecrtypes.ReplicationRule{{Destinations: []ecrtypes.ReplicationDestination{{Region: awssdk.String(w.account.Region()), RegistryId: awssdk.String(w.account.AccountID())}}}},
	}})
	w.Expect(err).NotTo(HaveOccurred())
	auth := remote.WithAuth(authn.FromConfig(w.lab.login(there)))
	push := func(configHash string, image v1.Image) {
		elsewhere, err := name.NewRepository(away.RegistryHost()+"/"+w.shop, name.Insecure)
		w.Expect(err).NotTo(HaveOccurred())
		w.Expect(remote.Write(elsewhere.Tag(configHash), image, auth)).To(Succeed())
		_, err = w.account.ecr.DescribeImages(w.ctx, &ecr.DescribeImagesInput{RepositoryName: &w.shop, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &configHash}}})
		w.Expect(err).NotTo(HaveOccurred(), "ECR puts it past the repository's policy")
	}
	push(hashOf("replicated"), w.stolen(w.shop, w.forged(hashOf("replicated"))))
	w.ask("shop", "replicated-1", hashOf("replicated")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	push(hashOf("replicated unsigned"), w.forged(hashOf("replicated unsigned")))
	w.ask("shop", "replicated-2", hashOf("replicated unsigned")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	return []string{signatureShield}
}
