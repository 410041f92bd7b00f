package envtest

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/sessionpolicy"
)

// byTheSignature is what stops who gets an image into the repository past its policy.
const byTheSignature = "the signature of a known key over repository, hash, platform, configuration, layers and request"

// arnOf is the ARN of a repository.
func (w *battlefield) arnOf(repository string) string {
	return sessionpolicy.RepositoryARN("aws", w.account.Region(), w.account.AccountID(), repository)
}

// smuggle puts an image with all the right labels under the hash of a name into the project shop, past the repository's
// policy, as replication does. sign says what its signature claims, and who signs; nil signs nothing.
func (w *battlefield) smuggle(text string, sign func(*provenance.Claims) provenance.Signer) {
	w.t.Helper()
	made := &environment{harness: w.harness, request: &v1alpha1.DevcontainerImage{}}
	made.request.UID, made.request.Status.ConfigHash = "smuggled", hashOf(text)
	made.build()
	image := w.signed(made.image, w.arnOf(w.shop), sign)
	auth := w.lab.password(w.lab.session(w.lab.controller, "-", wide))
	w.Expect(remote.Write(w.lab.reference(w.shop).Tag(hashOf(text)), image, remote.WithAuth(authn.FromConfig(auth)))).To(Succeed())
}

// succeedsSigned shows that nothing but the signature stands against a smuggled image.
func (w *battlefield) succeedsSigned(text string) {
	w.t.Helper()
	w.smuggle(text, func(*provenance.Claims) provenance.Signer { return w.signer() })
	w.ask("shop", text, hashOf(text)).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}

// isRefused asks for a smuggled image.
func (w *battlefield) isRefused(text, why string) {
	w.t.Helper()
	e := w.ask("shop", text, hashOf(text))
	e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	w.Expect(e.request.Status.Explanation).To(ContainSubstring(why))
}

func smuggleUnsigned(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("signed")
	w.smuggle("unsigned", func(*provenance.Claims) provenance.Signer { return nil })
	w.isRefused("unsigned", "the image has no signature")
	return []string{byTheSignature}
}

func moveSignatureToAnotherHash(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-hash")
	w.smuggle("another-hash", func(c *provenance.Claims) provenance.Signer { c.Hash = hashOf("own-hash"); return w.signer() })
	w.isRefused("another-hash", "its hash is")
	return []string{byTheSignature}
}

func moveSignatureToAnotherRepository(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-repository")
	w.smuggle("another-repository", func(c *provenance.Claims) provenance.Signer {
		c.RepositoryARN = w.arnOf(w.payments)
		return w.signer()
	})
	w.isRefused("another-repository", "its repository is")

	// The same with an image that was really published: payments' image of this hash, byte for byte.
	victim := w.ask("payments", "victim", hashOf("published-elsewhere"))
	victim.publish()
	image, err := w.lab.manifestOf(t.Context(), w.payments, victim.request.Status.Image.Digest)
	w.Expect(err).NotTo(HaveOccurred())
	auth := w.lab.password(w.lab.session(w.lab.controller, "-", wide))
	w.Expect(remote.Write(w.lab.reference(w.shop).Tag(hashOf("published-elsewhere")), image, remote.WithAuth(authn.FromConfig(auth)))).To(Succeed())
	w.isRefused("published-elsewhere", "its repository is")
	return []string{byTheSignature}
}

func moveSignatureToAnotherPlatform(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-platform")
	w.smuggle("another-platform", func(c *provenance.Claims) provenance.Signer { c.Platform = "linux/arm64"; return w.signer() })
	w.isRefused("another-platform", "its platform is")
	return []string{byTheSignature}
}

// moveSignatureToAnotherContent keeps the signed statement of a published image and changes what it is about.
func moveSignatureToAnotherContent(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-content")
	evil := "sha256:" + hashOf("evil")
	w.smuggle("another-layer", func(c *provenance.Claims) provenance.Signer { c.Layers[0] = evil; return w.signer() })
	w.isRefused("another-layer", "its list of layers is")
	w.smuggle("another-configuration", func(c *provenance.Claims) provenance.Signer { c.Config = evil; return w.signer() })
	w.isRefused("another-configuration", "its configuration is")
	w.smuggle("another-request", func(c *provenance.Claims) provenance.Signer {
		c.RequestUID = "of a request of before"
		return w.signer()
	})
	w.isRefused("another-request", "its request is")
	return []string{byTheSignature}
}

// signWithRevokedKey holds a private key that leaked, before and after its revocation.
func signWithRevokedKey(t *testing.T, w *battlefield) []string {
	t.Helper()
	leaked, err := provenance.GenerateKey()
	w.Expect(err).NotTo(HaveOccurred())
	demo := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	w.Expect(w.refresh(demo)).To(Succeed())
	before := len(demo.Status.SigningKeys)
	w.editKeys(demo, before+1, func(s *corev1.Secret) { s.Data["leaked.pub"] = []byte(leaked.Key().PEM()) })
	byLeaked := func(*provenance.Claims) provenance.Signer { return leaked }
	w.smuggle("before-the-revocation", byLeaked)
	w.ask("shop", "before", hashOf("before-the-revocation")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	w.editKeys(demo, before, func(s *corev1.Secret) { delete(s.Data, "leaked.pub") })
	w.isRefused("before-the-revocation", "not from a key that is known")
	w.smuggle("after-the-revocation", byLeaked)
	w.isRefused("after-the-revocation", "not from a key that is known")
	return []string{"the removal of the key from the Secret"}
}
