package envtest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/signedimage"
)

// byTheSignature is what stops who gets an image into the repository past its policy.
const byTheSignature = "the signature of a known key over repository, hash, platform, manifest and request"

// arnOf is the ARN of a repository.
func (w *battlefield) arnOf(repository string) string {
	return sessionpolicy.RepositoryARN("aws", w.account.Region(), w.account.AccountID(), repository)
}

// smuggle puts an image with all the right labels under the hash of a name into the project shop, past the repository's
// policy, as replication does. sign says what its signature claims, and who signs; nil signs nothing. after changes what
// was signed.
func (w *battlefield) smuggle(text string, sign func(*provenance.Claims) provenance.Signer, after ...func(v1.Image) v1.Image) {
	w.t.Helper()
	made := &environment{harness: w.harness, request: &v1alpha1.DevcontainerImage{}}
	made.request.UID, made.request.Status.ConfigHash = "smuggled", hashOf(text)
	made.build()
	image := w.signed(made.image, w.arnOf(w.shop), sign)
	for _, change := range after {
		image = change(image)
	}
	w.pushPastPolicy(w.shop, hashOf(text), image)
}

// pushPastPolicy puts an image under a hash into a repository that has its policy.
func (w *battlefield) pushPastPolicy(repository, configHash string, image v1.Image) {
	w.t.Helper()
	auth := w.lab.password(w.lab.session(w.lab.controller, "-", wide))
	w.Expect(remote.Write(w.lab.reference(repository).Tag(configHash), image, remote.WithAuth(authn.FromConfig(auth)))).To(Succeed())
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
	w.pushPastPolicy(w.shop, hashOf("published-elsewhere"), image)
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

// moveSignatureToAnotherContent puts the statements about images of another layer and of another configuration into an
// image, and one about another request.
func moveSignatureToAnotherContent(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-content")
	evil := "sha256:" + hashOf("evil")
	w.smuggle("another-layer", func(c *provenance.Claims) provenance.Signer {
		c.Layers[0], c.UnsignedManifest = evil, evil
		return w.signer()
	})
	w.isRefused("another-layer", "its list of layers is")
	w.smuggle("another-configuration", func(c *provenance.Claims) provenance.Signer {
		c.Config, c.UnsignedManifest = evil, evil
		return w.signer()
	})
	w.isRefused("another-configuration", "its configuration is")
	w.smuggle("another-request", func(c *provenance.Claims) provenance.Signer {
		c.RequestUID = "of a request of before"
		return w.signer()
	})
	w.isRefused("another-request", "its request is")
	return []string{byTheSignature}
}

// changeSignedManifest keeps all digests of a signed image, and changes what the manifest says beside them, such as the
// addresses and media types of layers.
func changeSignedManifest(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.succeedsSigned("own-manifest")
	w.smuggle("another-manifest", func(*provenance.Claims) provenance.Signer { return w.signer() }, func(image v1.Image) v1.Image {
		return mutate.Annotations(image, map[string]string{"org.opencontainers.image.title": "another"}).(v1.Image)
	})
	w.isRefused("another-manifest", "manifest is not the one that was signed")
	return []string{byTheSignature}
}

// bringBackWithdrawnImage puts an image back that the controller signed and that invalidatePushedBefore removed. ECR says
// that it is new.
func bringBackWithdrawnImage(t *testing.T, w *battlefield) []string {
	t.Helper()
	now := w.account.Clock().Now()
	w.project("withdrawn", "demo", func(s *v1alpha1.ProjectImageCacheSpec) {
		s.InvalidatePushedBefore = &metav1.Time{Time: now.Add(-time.Hour)}
	})
	repository := w.repositoryOf("withdrawn")
	bringBack := func(text string, signedAt time.Time) *environment {
		image := w.forged(hashOf(text))
		claims, err := signedimage.Claims(image, w.arnOf(repository))
		w.Expect(err).NotTo(HaveOccurred())
		record := &provenance.Record{Claims: claims, Build: provenance.Build{FinishedAt: signedAt}}
		image, err = signedimage.SignRecord(w.ctx, image, w.signer(), record)
		w.Expect(err).NotTo(HaveOccurred())
		w.pushPastPolicy(repository, hashOf(text), image)
		return w.ask("withdrawn", text, hashOf(text))
	}
	bringBack("signed-since", now).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	bringBack("signed-before", now.Add(-2*time.Hour)).answered(v1alpha1.CacheMiss, v1alpha1.ReasonInvalidated)
	return []string{"the time in the signed statement"}
}

// handForeignManifest gives a runner the image of another hash, as one can who changes what it reads of its request. The
// attack succeeds where the runner knows no keys.
func handForeignManifest(t *testing.T, w *battlefield) []string {
	t.Helper()
	built := &bigEngine{image: bigImage(t, 1000)}
	engine := func(context.Context) (builder.Engine, error) { return built, nil }
	own := w.prepare(t, "own", &runner.Runner{FindEngine: engine})
	w.Expect(own.Outcome).To(Equal(runner.OutcomePublished), own.Reason)
	other := w.ask("shop", "of-another-hash", hashOf("shop"))
	other.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	foreign := other.request.Status.Image.Digest

	connection, err := cluster.NewClient(w.config)
	w.Expect(err).NotTo(HaveOccurred())
	hand := func(environment string, without bool) *runner.Result {
		folder := filepath.Join(t.TempDir(), "images")
		return w.prepare(t, environment, &runner.Runner{
			Client: deceived(connection, foreign, without), FindEngine: engine,
			FindStore: func(context.Context) (runner.Store, error) { return runner.LayoutStore{Folder: folder}, nil },
		})
	}
	deceived := hand("deceived", true)
	w.Expect(deceived.Outcome).To(Equal(runner.OutcomeHit), deceived.Reason)
	w.Expect(deceived.Reference).To(HaveSuffix(foreign))
	refusing := hand("refusing", false)
	w.Expect(refusing.Outcome).To(Equal(runner.OutcomeBuilt), refusing.Reason)
	w.Expect(refusing.Reason).To(HavePrefix("NotVerified: the signature is for another image: its hash is"))
	return []string{"the runner verifies the manifest for the hash that it computed"}
}

// deceived is a connection on which each hit names a digest, and runners have no keys if without is set.
func deceived(connection client.WithWatch, digest string, without bool) client.WithWatch {
	deceive := func(image *v1alpha1.DevcontainerImage) {
		if found := image.Status.Image; found != nil && image.Status.CacheResult == v1alpha1.CacheHit {
			repository, _, _ := strings.Cut(found.Reference, "@")
			found.Reference, found.Digest = repository+"@"+digest, digest
		}
	}
	return interceptor.NewClient(connection, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, object, options...)
			if cache, ok := object.(*v1alpha1.RunnerImageCache); ok && without {
				cache.Status.SigningKeys = nil
			}
			if image, ok := object.(*v1alpha1.DevcontainerImage); ok {
				deceive(image)
			}
			return err
		},
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			events, err := c.Watch(ctx, list, options...)
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
				if image, ok := event.Object.(*v1alpha1.DevcontainerImage); ok {
					deceive(image)
				}
				return event, true
			}), nil
		},
	})
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
