package runner

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/provenance"
)

// TestOnlyASignedImageLendsItsLayers has an image that a controller offers to a build of another hash.
func TestOnlyASignedImageLendsItsLayers(t *testing.T) {
	const lender, other = "the lender's hash", "another hash"
	for name, test := range map[string]struct {
		offered  string
		platform string
		key      *provenance.PrivateKey
		want     string // empty: the layers are lent
	}{
		"signed for the hash that is offered": {lender, "linux/amd64", nil, ""},
		"signed for another hash":             {other, "linux/amd64", nil, "the signature is for another image: its hash"},
		"signed for another platform":         {lender, "linux/arm64", nil, "the signature is for another image: its platform"},
		"signed by a revoked key":             {lender, "linux/amd64", mustGenerateKey(t), "not from a key that is known"},
	} {
		t.Run(name, func(t *testing.T) {
			p, offered := lentTo(t, lender, test.platform, test.key)
			offered.ConfigHash = test.offered
			lent, err := p.lend(t.Context(), offered)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				lent.end()
				return
			}
			var untrusted *untrustedError
			if !errors.As(err, &untrusted) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an image that is not trusted: %s", err, test.want)
			}
		})
	}
}

func mustGenerateKey(t *testing.T) *provenance.PrivateKey {
	t.Helper()
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lentTo is a preparation for a platform, and an image that was signed for a hash and linux/amd64. known is the key that
// the runner's status has instead of the one that signed.
func lentTo(t *testing.T, signedHash, platform string, known *provenance.PrivateKey) (*preparation, *v1alpha1.LayerSource) {
	t.Helper()
	wanted, image, _ := pullOf(t)
	signer := mustGenerateKey(t)
	if known == nil {
		known = signer
	}
	reference, claims := pushSigned(t, wanted.reference, image, signer, signedHash)
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "demo"}},
		Status:     v1alpha1.ProjectImageCacheStatus{Repository: &v1alpha1.RepositoryStatus{ARN: claims.RepositoryARN}},
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&v1alpha1.RunnerImageCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "demo"},
			Status:     v1alpha1.RunnerImageCacheStatus{SigningKeys: []v1alpha1.SigningKey{{ID: known.Key().ID, PublicKey: known.Key().PEM()}}},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pull"}, Data: map[string][]byte{corev1.DockerConfigJsonKey: wanted.secret}},
	).Build()
	return &preparation{
		basis:   &basis{runner: &Runner{Client: cluster, Namespace: "ns"}, project: project},
		subject: subject{key: &hash.Key{Hash: "the build's hash", Version: hash.Version, Platform: platform}},
	}, &v1alpha1.LayerSource{Reference: reference, SecretName: "pull"}
}
