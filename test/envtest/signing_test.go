package envtest

import (
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/signedimage"
)

// keySecret reads the Secret with the signing keys.
func (h *harness) keySecret() *corev1.Secret {
	h.t.Helper()
	secret := &corev1.Secret{}
	h.Eventually(func() error {
		return kube.Get(h.ctx, types.NamespacedName{Namespace: h.namespace, Name: signingkeys.SecretName}, secret)
	}).Should(Succeed())
	return secret
}

// installKeysRole gives a service account of the test's namespace what config/rbac gives the manager in its own.
func (h *harness) installKeysRole(account string) {
	h.t.Helper()
	for _, object := range decodeFile(h.t, configPath("rbac/signing_keys.yaml")) {
		object.SetNamespace(h.namespace)
		if object.GetKind() == "RoleBinding" {
			object.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": h.namespace}}
		}
		h.Expect(kube.Create(h.ctx, object)).To(Succeed())
	}
}

// signer is the key that the manager signs with.
func (h *harness) signer() provenance.Signer {
	h.t.Helper()
	keys, err := provenance.ParseKeySet(h.keySecret().Data)
	h.Expect(err).NotTo(HaveOccurred())
	return keys.Signer
}

// editKeys changes the Secret as an operator does, and waits until the runner shows so many keys.
func (h *harness) editKeys(runner *v1alpha1.RunnerImageCache, want int, edit func(*corev1.Secret)) {
	h.t.Helper()
	secret := h.keySecret()
	edit(secret)
	h.Expect(kube.Update(h.ctx, secret)).To(Succeed())
	h.Eventually(func() ([]v1alpha1.SigningKey, error) { return runner.Status.SigningKeys, h.refresh(runner) }).Should(HaveLen(want))
}

// signed returns the image signed as if the manager had published it for a repository.
func (h *harness) signed(image v1.Image, repositoryARN string, change ...func(*provenance.Claims) provenance.Signer) v1.Image {
	h.t.Helper()
	claims, err := signedimage.Claims(image, repositoryARN)
	h.Expect(err).NotTo(HaveOccurred())
	signer := h.signer()
	for _, c := range change {
		signer = c(&claims)
	}
	if signer == nil {
		return image
	}
	image, err = signedimage.Sign(h.ctx, image, signer, claims)
	h.Expect(err).NotTo(HaveOccurred())
	return image
}

// manifestUnder reads the manifest that a repository has under a hash.
func (h *harness) manifestUnder(repository, configHash string) (manifest []byte, digest string) {
	h.t.Helper()
	out, err := h.root().BatchGetImage(h.ctx, &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &configHash}}})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(out.Images).To(HaveLen(1))
	return []byte(awssdk.ToString(out.Images[0].ImageManifest)), awssdk.ToString(out.Images[0].ImageId.ImageDigest)
}

// isPublished checks that the image of an environment stands under its hash, and returns its digest there, which the
// signature makes another.
func (e *environment) isPublished() string {
	e.t.Helper()
	manifest, digest := e.manifestUnder(e.repositoryName(), e.request.Status.ConfigHash)
	config, err := e.image.ConfigName()
	e.Expect(err).NotTo(HaveOccurred())
	e.Expect(string(manifest)).To(ContainSubstring(config.String()), "another build's image is published")
	return digest
}

func TestPublishedImageSaysHowItCameAbout(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	project := h.project("shop", "demo")
	e := h.ask("shop", "e-1", hashOf("a"), fiveInputs)
	e.publish()
	h.Expect(runner.Status.SigningKeys).To(HaveLen(1))
	published := runner.Status.SigningKeys[0]
	h.Expect(published.Use).To(Equal(v1alpha1.KeySigns))
	key, err := provenance.ParseKey([]byte(published.PublicKey))
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(key.ID).To(Equal(published.ID))
	h.Expect(project.Status.Repository.ARN).NotTo(BeEmpty())

	manifest, digest := h.manifestUnder(e.repositoryName(), hashOf("a"))
	found, err := provenance.NewVerifier(key).Verify(manifest, digest, provenance.Claims{
		RepositoryARN: project.Status.Repository.ARN, Hash: hashOf("a"), HashVersion: hash.Version, Platform: "linux/amd64", RequestUID: string(e.request.UID),
	})
	h.Expect(err).NotTo(HaveOccurred())
	record, err := found.Record(manifest)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(record.Cluster).To(Equal("cluster-1"))
	h.Expect([]string{record.Namespace, record.Project, record.Request}).To(Equal([]string{h.namespace, "shop", e.request.Name}))
	h.Expect(record.Version).NotTo(BeEmpty())
	h.Expect(record.StartedAt.Unix()).To(Equal(e.request.Status.Builder.StartedAt.Unix()))
	h.Expect(record.FinishedAt).To(BeTemporally(">=", record.StartedAt))
	h.Expect(record.Stated.Environment).To(Equal("e-1"))
	h.Expect(record.Stated.KeyCoverage).To(Equal("Complete"))
	h.Expect(record.Stated.BuildSeconds).To(BeEquivalentTo(225))
	h.Expect(record.Stated.Inputs).To(HaveLen(5))
}

// TestRotationKeepsTheCacheAndRevocationEmptiesIt takes the keys through a rotation and a revocation as
// docs/provenance.md tells operators to.
func TestRotationKeepsTheCacheAndRevocationEmptiesIt(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	h.project("shop", "demo")
	old := h.ask("shop", "old", hashOf("old"))
	old.publish()
	first := h.signer().Key()

	h.editKeys(runner, 2, func(s *corev1.Secret) { s.Annotations = map[string]string{v1alpha1.AnnotationRotate: "Ada"} })
	second := h.signer().Key()
	h.Expect(second.ID).NotTo(Equal(first.ID))
	h.Expect(runner.Status.SigningKeys[0].ID).To(Equal(second.ID))
	h.Expect(runner.Status.SigningKeys[1]).To(Equal(v1alpha1.SigningKey{ID: first.ID, Use: v1alpha1.KeyVerifies, PublicKey: first.PEM()}))
	h.Expect(h.keySecret().Annotations).NotTo(HaveKey(v1alpha1.AnnotationRotate))
	h.ask("shop", "after-the-rotation", hashOf("old")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	fresh := h.ask("shop", "new", hashOf("new"))
	fresh.publish()
	manifest, digest := h.manifestUnder(fresh.repositoryName(), hashOf("new"))
	found, err := provenance.NewVerifier(first, second).Read(manifest, digest)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(found.KeyID).To(Equal(second.ID))

	h.editKeys(runner, 1, func(s *corev1.Secret) { delete(s.Data, first.ShortID()+provenance.VerifySuffix) })
	h.ask("shop", "of-the-second-key", hashOf("new")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	builder := h.ask("shop", "of-the-first-key", hashOf("old"))
	builder.answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	h.Expect(builder.request.Status.Explanation).To(ContainSubstring("not from a key that is known"))
	builder.publish()
	h.Expect(h.tags(builder.repositoryName())).To(HaveKeyWithValue(hashOf("old"), builder.isPublished()))
	h.ask("shop", "after-the-replacement", hashOf("old")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}

// TestKeysOutliveTheManager also covers the worst case: without the Secret, a new key is made and all images are misses.
func TestKeysOutliveTheManager(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	first := h.signer().Key()
	h.stop()
	h.startManager()
	h.ask("shop", "e-2", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(h.signer().Key().ID).To(Equal(first.ID))

	h.Expect(kube.Delete(h.ctx, h.keySecret())).To(Succeed())
	h.Eventually(func() (string, error) {
		return runner.Status.SigningKeys[0].ID, h.refresh(runner)
	}).ShouldNot(Equal(first.ID))
	h.ask("shop", "e-3", hashOf("a")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
}

func TestBrokenKeysAreReportedAndStopNothing(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	secret := h.keySecret()
	good := secret.Data[provenance.SigningEntry]
	secret.Data[provenance.SigningEntry] = []byte("not a key")
	h.Expect(kube.Update(h.ctx, secret)).To(Succeed())
	h.reason(runner, v1alpha1.ConditionSigningKeysReady, v1alpha1.ReasonSigningKeysNotReady)
	h.Expect(describe(runner)).NotTo(ContainSubstring("not a key\""))
	h.ask("shop", "e-2", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)

	h.stop()
	h.startManager()
	unknown := h.ask("shop", "e-3", hashOf("a"))
	h.reason(unknown.request, v1alpha1.ConditionLookedUp, v1alpha1.ReasonSigningKeysNotReady)
	h.Expect(unknown.request.Status.CacheResult).To(BeEmpty(), "without keys, the answer is neither hit nor miss")
	secret = h.keySecret()
	secret.Data[provenance.SigningEntry] = good
	h.Expect(kube.Update(h.ctx, secret)).To(Succeed())
	unknown.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.condition(runner, v1alpha1.ConditionSigningKeysReady, metav1.ConditionTrue)
}

// TestPublicationThatBrokeOffIsRecognised ends the manager after the put and before its status: the next one signs again,
// and finds its own image under the hash.
func TestPublicationThatBrokeOffIsRecognised(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:PutImage", Code: "AccessDeniedException", AfterEffect: true, Next: 1})
	e.upload()
	h.Eventually(func() int { return h.aws.Calls().Errors("ecr:PutImage") }).Should(Equal(1))
	digest := e.isPublished()
	h.stop()
	h.startManager()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	h.Expect(e.request.Status.Image.Digest).To(Equal(digest), "the image that was put, and not a second one")
	h.Expect(h.tags(e.repositoryName())).To(Equal(map[string]string{hashOf("a"): digest}))
}

// TestSigningKeysInAStatus has keys that the API accepts and keys that it refuses.
func TestSigningKeysInAStatus(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, asRoot))
	runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: v1alpha1.RunnerImageCacheSpec{RunnerID: "demo", Region: h.aws.Region()}}
	h.create(runner)
	key := func(edit func(*v1alpha1.SigningKey)) v1alpha1.SigningKey {
		generated, err := provenance.GenerateKey()
		h.Expect(err).NotTo(HaveOccurred())
		k := v1alpha1.SigningKey{ID: generated.Key().ID, Use: v1alpha1.KeyVerifies, PublicKey: generated.Key().PEM()}
		if edit != nil {
			edit(&k)
		}
		return k
	}
	var most []v1alpha1.SigningKey
	for range provenance.MaxKeys + 1 { // those of a Secret, and one of KMS
		most = append(most, key(nil))
	}
	for name, test := range map[string]struct {
		keys    []v1alpha1.SigningKey
		refused string
	}{
		"one that signs": {[]v1alpha1.SigningKey{key(func(k *v1alpha1.SigningKey) { k.Use = v1alpha1.KeySigns }), key(nil)}, ""},
		"the most":       {most, ""},
		"one too many":   {append(most, key(nil)), "status.signingKeys: Too many"},
		"another use":    {[]v1alpha1.SigningKey{key(func(k *v1alpha1.SigningKey) { k.Use = "Encrypt" })}, "status.signingKeys[0].use: Unsupported value"},
		"a short ID":     {[]v1alpha1.SigningKey{key(func(k *v1alpha1.SigningKey) { k.ID = "4f3c" })}, "status.signingKeys[0].id"},
		"no key":         {[]v1alpha1.SigningKey{key(func(k *v1alpha1.SigningKey) { k.PublicKey = "" })}, "status.signingKeys[0].publicKey: Required value"},
		"one twice":      {[]v1alpha1.SigningKey{most[0], most[0]}, "Duplicate value"},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.Expect(h.refresh(runner)).To(Succeed())
			runner.Status = v1alpha1.RunnerImageCacheStatus{ObservedGeneration: 1, SigningKeys: test.keys}
			err := kube.Status().Update(h.ctx, runner)
			if test.refused == "" {
				h.Expect(err).NotTo(HaveOccurred())
				return
			}
			h.Expect(err).To(MatchError(ContainSubstring(test.refused)))
		})
	}
}
