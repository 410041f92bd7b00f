package runner_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/runner"
	"imagecache.dev/test/signedimage"
	"imagecache.dev/test/testimage"
)

const repositoryARN = "arn:aws:ecr:eu-central-1:123456789012:repository/gitpod-runner-r/projects/web-id/image-build"

// publishes writes the status of the runner and of the project, as a controller that signs does.
func (w *world) publishes(host string, keys ...provenance.Key) {
	w.t.Helper()
	cache, project := &v1alpha1.RunnerImageCache{}, &v1alpha1.ProjectImageCache{}
	cache.Namespace, cache.Name, project.Namespace, project.Name = w.namespace, "runner", w.namespace, "web"
	for _, object := range []client.Object{cache, project} {
		if err := w.client.Get(w.t.Context(), keyOf(object), object); err != nil {
			w.t.Fatal(err)
		}
	}
	for n, key := range keys {
		use := v1alpha1.KeyVerifies
		if n == 0 {
			use = v1alpha1.KeySigns
		}
		cache.Status.SigningKeys = append(cache.Status.SigningKeys, v1alpha1.SigningKey{ID: key.ID, Use: use, PublicKey: key.PEM()})
	}
	project.Status.Repository = &v1alpha1.RepositoryStatus{
		Name: "gitpod-runner-r/projects/web-id/image-build", ARN: repositoryARN, URI: host + "/gitpod-runner-r/projects/web-id/image-build",
	}
	for _, object := range []client.Object{cache, project} {
		if err := w.client.Status().Update(w.t.Context(), object); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestRunnerThatIsHandedAForeignManifestBuildsHere hands a runner images as a controller would whose lookup was deceived.
// Each image is pulled where the runner knows no keys, as one does that reaches a controller of a version before signatures.
func TestRunnerThatIsHandedAForeignManifestBuildsHere(t *testing.T) {
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		sign func(*provenance.Claims) provenance.Signer
		want string // empty: the image is pulled
	}{
		"its own image": {func(*provenance.Claims) provenance.Signer { return key }, ""},
		"an unsigned":   {func(*provenance.Claims) provenance.Signer { return nil }, "the image has no signature"},
		"one of a key that is not known": {func(*provenance.Claims) provenance.Signer { return other },
			"the image's signature is not from a key that is known"},
		"the image of another hash": {func(c *provenance.Claims) provenance.Signer { c.Hash = strings.Repeat("9", 64); return key },
			"the signature is for another image: its hash"},
		"the image of another project": {func(c *provenance.Claims) provenance.Signer { c.RepositoryARN = "arn:other"; return key },
			"the signature is for another image: its repository"},
		"the image of another platform": {func(c *provenance.Claims) provenance.Signer { c.Platform = "linux/arm64"; return key },
			"the signature is for another image: its platform"},
	} {
		for _, old := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", from a controller that signs nothing", false: ""}[old], func(t *testing.T) {
				w := newWorld(t)
				host := w.startRegistry()
				w.secret(pullSecret, host)
				if old {
					w.publishes(host)
				} else {
					w.publishes(host, key.Key())
				}
				w.control(once(func(request *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
					status := hit(225)
					status.Image = w.imageFor(host, request, test.sign)
					return status
				}))
				result := w.mustPrepare(w.request())
				if old || test.want == "" {
					if result.Outcome != runner.OutcomeHit || len(w.engine.pulls) != 1 || old != (result.SignedBy == "") {
						t.Errorf("result %+v after %d pulls", result, len(w.engine.pulls))
					}
					return
				}
				if result.Outcome != runner.OutcomeBuilt || !strings.HasPrefix(result.Reason, "NotVerified: "+test.want) {
					t.Errorf("result %+v", result)
				}
				if len(w.engine.pulls) != 0 || len(w.engine.builds) != 1 {
					t.Errorf("%d pulls, %d builds", len(w.engine.pulls), len(w.engine.builds))
				}
				if notice := w.noticedOnce(t); !strings.Contains(notice, "the cached image is not trusted, so the image is built here: "+test.want) {
					t.Errorf("it says %q", notice)
				}
				if report := w.theRequest().Spec.Pull; report == nil || report.Outcome != v1alpha1.PullFailed {
					t.Errorf("report %+v", report)
				}
			})
		}
	}
}

// imageFor puts an image for a request into the registry. sign says what its signature claims, and who signs.
func (w *world) imageFor(host string, request *v1alpha1.DevcontainerImage, sign func(*provenance.Claims) provenance.Signer) *v1alpha1.CachedImage {
	image := testimage.Random(w.t, 100, 2, func(config *v1.ConfigFile) {
		config.Config.Labels = map[string]string{imagelabel.Hash: request.Spec.ConfigHash, imagelabel.UID: string(request.UID)}
	})
	claims, err := signedimage.Claims(image, repositoryARN)
	if err != nil {
		w.t.Error(err)
	}
	if signer := sign(&claims); signer != nil {
		if image, err = signedimage.Sign(w.t.Context(), image, signer, claims); err != nil {
			w.t.Error(err)
		}
	}
	repository, err := name.NewRepository(host + "/gitpod-runner-r/projects/web-id/image-build")
	if err != nil {
		w.t.Error(err)
	}
	if err := remote.Write(repository.Tag("1"), image, remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})); err != nil {
		w.t.Error(err)
	}
	digest, err := image.Digest()
	if err != nil {
		w.t.Error(err)
	}
	return &v1alpha1.CachedImage{
		Reference: repository.Digest(digest.String()).Name(), Digest: digest.String(), BuildSeconds: ptr.To(int64(225)), SizeBytes: ptr.To(int64(1000)),
	}
}
