package envtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	registrytypes "github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
)

// environment plays the runner of one environment: it asks, builds, reports and uploads, as imagecache prepare does.
type environment struct {
	*harness
	request *v1alpha1.DevcontainerImage
	image   v1.Image
}

// hashOf is the hash of a configuration that a test names.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ask creates a request of an environment for a hash.
func (h *harness) ask(project, id, configHash string, edit ...func(*v1alpha1.DevcontainerImageSpec)) *environment {
	h.t.Helper()
	request := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{GenerateName: id + "-"},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: project}, EnvironmentID: id, Trigger: v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationDockerfile, ConfigHash: configHash,
		},
	}
	for _, e := range edit {
		e(&request.Spec)
	}
	h.create(request)
	return &environment{harness: h, request: request}
}

// answered waits for the cache's answer.
func (e *environment) answered(result v1alpha1.CacheResult, reason string) {
	e.t.Helper()
	e.Eventually(func() error {
		if err := e.refresh(e.request); err != nil {
			return err
		}
		if e.request.Status.CacheResult == "" {
			return fmt.Errorf("no answer: %s", describe(e.request))
		}
		return nil
	}).Should(Succeed())
	e.Expect([]string{string(e.request.Status.CacheResult), e.request.Status.Reason}).To(Equal([]string{string(result), reason}), e.request.Status.Explanation)
}

// role waits until the request has a role.
func (e *environment) role(role v1alpha1.Role) {
	e.t.Helper()
	e.Eventually(func() (v1alpha1.Role, error) { return e.request.Status.Role, e.refresh(e.request) }).Should(Equal(role))
}

// build makes an image of its own for the request.
func (e *environment) build(edit ...func(*v1.ConfigFile)) {
	e.t.Helper()
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, registrytypes.OCIManifestSchema1), registrytypes.OCIConfigJSON)
	for range 2 {
		layer, err := random.Layer(2048, registrytypes.OCILayer)
		e.Expect(err).NotTo(HaveOccurred())
		base, err = mutate.AppendLayers(base, layer)
		e.Expect(err).NotTo(HaveOccurred())
	}
	config, err := base.ConfigFile()
	e.Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{
		imagelabel.Hash: e.request.Status.ConfigHash, imagelabel.Version: strconv.Itoa(hash.Version), imagelabel.UID: string(e.request.UID),
		imagelabel.BuildSeconds: "225", imagelabel.Environment: e.request.Spec.EnvironmentID,
	}
	for _, change := range edit {
		change(config)
	}
	e.image, err = mutate.ConfigFile(base, config)
	e.Expect(err).NotTo(HaveOccurred())
}

// report sends the build's report, by the merge patch that a runner sends.
func (e *environment) report() {
	e.t.Helper()
	e.patch(e.reportPatch())
}

// reportPatch is the report of a build that succeeded.
func (e *environment) reportPatch() map[string]any {
	e.t.Helper()
	manifest, err := e.image.RawManifest()
	e.Expect(err).NotTo(HaveOccurred())
	config, err := e.image.RawConfigFile()
	e.Expect(err).NotTo(HaveOccurred())
	return map[string]any{"build": map[string]any{
		"outcome": "Succeeded", "manifest": string(manifest), "config": string(config), "durationSeconds": 225, "keyCoverage": "Complete",
	}}
}

func (e *environment) patch(spec map[string]any) {
	e.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": spec})
	e.Expect(err).NotTo(HaveOccurred())
	e.Expect(kube.Patch(e.ctx, e.request.DeepCopy(), client.RawPatch(types.MergePatchType, patch))).To(Succeed())
}

// granted waits for upload rights.
func (e *environment) granted() {
	e.t.Helper()
	e.Eventually(func() error {
		if err := e.refresh(e.request); err != nil {
			return err
		}
		if e.request.Status.PushCredentials == nil {
			return fmt.Errorf("no upload rights: %s", describe(e.request))
		}
		return nil
	}).Should(Succeed())
}

// upload uploads the missing layers with the credentials that the controller made, and says so.
func (e *environment) upload() {
	e.t.Helper()
	e.granted()
	e.Expect(e.uploadOnce()).To(Succeed())
	e.reportUpload()
}

// reportUpload reports that the missing layers are uploaded.
func (e *environment) reportUpload() {
	e.t.Helper()
	e.patch(map[string]any{"uploadAttempt": ptr.Deref(e.request.Status.ObservedUploadAttempt, 0) + 1})
}

// uploadOnce uploads the missing layers. It fails where the upload rights are gone by then.
func (e *environment) uploadOnce() error {
	secret := &corev1.Secret{}
	err := kube.Get(e.ctx, types.NamespacedName{Namespace: e.namespace, Name: e.request.Status.PushCredentials.SecretName}, secret)
	if err != nil {
		return err
	}
	repository, auth := e.repository(), e.authOf(secret)
	for _, digest := range e.request.Status.MissingLayers {
		hash, err := v1.NewHash(digest)
		if err != nil {
			return err
		}
		layer, err := e.image.LayerByDigest(hash)
		if err != nil {
			return err
		}
		if err := remote.WriteLayer(repository, layer, auth); err != nil {
			return err
		}
	}
	return nil
}

// publish takes a builder from its build to the published image.
func (e *environment) publish() {
	e.t.Helper()
	e.role(v1alpha1.RoleBuilder)
	e.build()
	e.report()
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
}

func (e *environment) repository() name.Repository {
	e.t.Helper()
	repository, err := name.NewRepository(e.request.Status.RepositoryURI, name.Insecure)
	e.Expect(err).NotTo(HaveOccurred())
	return repository
}

// credentials reads a credential Secret as a registry client does.
func (e *environment) credentials(secretName string) remote.Option {
	e.t.Helper()
	secret := &corev1.Secret{}
	e.Expect(kube.Get(e.ctx, types.NamespacedName{Namespace: e.namespace, Name: secretName}, secret)).To(Succeed())
	return e.authOf(secret)
}

// authOf is the password in a credential Secret.
func (e *environment) authOf(secret *corev1.Secret) remote.Option {
	e.t.Helper()
	var config struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	e.Expect(json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config)).To(Succeed())
	host, _, _ := strings.Cut(e.request.Status.RepositoryURI, "/")
	e.Expect(config.Auths).To(HaveKey(host))
	return remote.WithAuth(authn.FromConfig(config.Auths[host]))
}

// pull reads the image of the request's answer with the project's pull credentials.
func (e *environment) pull() v1.Image {
	e.t.Helper()
	e.ready(e.request)
	reference, err := name.NewDigest(e.request.Status.Image.Reference, name.Insecure)
	e.Expect(err).NotTo(HaveOccurred())
	image, err := remote.Image(reference, e.credentials(e.request.Status.PullCredentials.SecretName))
	e.Expect(err).NotTo(HaveOccurred())
	return image
}

// lease reads the request's build lease.
func (e *environment) lease() *coordinationv1.Lease {
	e.t.Helper()
	lease := &coordinationv1.Lease{}
	e.Expect(e.request.Status.Builder).NotTo(BeNil())
	e.Expect(kube.Get(e.ctx, types.NamespacedName{Namespace: e.namespace, Name: e.request.Status.Builder.LeaseName}, lease)).To(Succeed())
	return lease
}

// renew renews the build lease as a runner does.
func (e *environment) renew() {
	e.t.Helper()
	lease := e.lease()
	lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Now()))
	e.Expect(kube.Update(e.ctx, lease)).To(Succeed())
}

// finished waits until nothing is left to do for the request.
func (e *environment) finished() {
	e.t.Helper()
	e.Eventually(func() (*metav1.Time, error) { return e.request.Status.FinishedAt, e.refresh(e.request) }).ShouldNot(BeNil())
}

// secrets are the names of the namespace's credential Secrets of a kind.
func (h *harness) secrets(kind string) []string {
	h.t.Helper()
	var list corev1.SecretList
	h.Expect(kube.List(h.ctx, &list, client.InNamespace(h.namespace), client.MatchingLabels{v1alpha1.LabelCredentials: kind})).To(Succeed())
	var names []string
	for _, secret := range list.Items {
		names = append(names, secret.Name)
	}
	return names
}

// deleteImage deletes an image as an operator does by hand.
func (h *harness) deleteImage(repository, digest string) {
	h.t.Helper()
	client := ecr.New(ecr.Options{
		Region: h.aws.Region(), BaseEndpoint: ptr.To(h.aws.URL()), RetryMaxAttempts: 10, // faults are for the controller
		Credentials: credentials.NewStaticCredentialsProvider(h.aws.AccessKeyID(), h.aws.SecretAccessKey(), ""),
	})
	_, err := client.BatchDeleteImage(h.ctx, &ecr.BatchDeleteImageInput{
		RepositoryName: &repository, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &digest}},
	})
	h.Expect(err).NotTo(HaveOccurred())
}
