package envtest

import (
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/awsemulator"
)

// TestKeyOfKMSTakesOverFromTheSecret moves from the Secret's key to one of KMS as docs/provenance.md tells operators to: what
// the Secret's key signed stays a hit until its entry is removed. Lookups don't need KMS, and a publication waits for it.
func TestKeyOfKMSTakesOverFromTheSecret(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "old", hashOf("old")).publish()
	inSecret := h.signer().Key()
	h.stop()

	made, err := awskms.NewFromConfig(h.aws.config).CreateKey(h.ctx, &awskms.CreateKeyInput{KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
	h.Expect(err).NotTo(HaveOccurred())
	h.settings.SigningKey = "awskms:///" + *made.KeyMetadata.Arn
	h.startManager()
	h.Eventually(func() ([]v1alpha1.SigningKey, error) { return runner.Status.SigningKeys, h.refresh(runner) }).Should(HaveLen(2))
	signs, verifies := runner.Status.SigningKeys[0], runner.Status.SigningKeys[1]
	h.Expect([]v1alpha1.SigningKeyUse{signs.Use, verifies.Use}).To(Equal([]v1alpha1.SigningKeyUse{v1alpha1.KeySigns, v1alpha1.KeyVerifies}))
	h.Expect(verifies.ID).To(Equal(inSecret.ID))
	inKMS, err := provenance.ParseKey([]byte(signs.PublicKey))
	h.Expect(err).NotTo(HaveOccurred())

	h.aws.Faults().Add(awsemulator.Fault{Operation: "kms:Sign", Code: "KMSInternalException", Status: 500})
	h.ask("shop", "while-kms-is-down", hashOf("old")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	fresh := h.builder("shop", "new", hashOf("new"))
	fresh.report()
	fresh.upload()
	h.Eventually(func() int { return h.aws.Calls().Errors("kms:Sign") }).Should(BeNumerically(">", 0))
	h.aws.Faults().Clear()
	fresh.reason(fresh.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	manifest, digest := h.manifestUnder(fresh.repositoryName(), hashOf("new"))
	found, err := provenance.NewVerifier(inSecret, inKMS).Read(manifest, digest)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(found.KeyID).To(Equal(inKMS.ID))

	h.editKeys(runner, 1, func(s *corev1.Secret) { delete(s.Data, provenance.SigningEntry) })
	h.ask("shop", "of-kms", hashOf("new")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.ask("shop", "of-the-secret", hashOf("old")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
}
