package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/signedimage"
)

// signedPull is a pull of a signed image, and the trust that accepts it.
func signedPull(t *testing.T) (*pull, *trust) {
	t.Helper()
	key := mustGenerateKey(t)
	wanted, image, _ := pullOf(t)
	reference, claims := pushSigned(t, wanted.reference, image, key, "")
	wanted.reference = reference
	return wanted, &trust{keys: provenance.NewVerifier(key.Key()), want: claims}
}

// pushSigned signs an image for a hash, and pushes it to the repository of another one. It returns its reference.
func pushSigned(
	t *testing.T, beside string, image v1.Image, key provenance.Signer, configHash string,
) (string, provenance.Claims) {
	t.Helper()
	signed, claims := signFor(t, image, key, configHash)
	other, err := name.NewDigest(beside)
	if err != nil {
		t.Fatal(err)
	}
	push(t, other.Context(), signed)
	digest, err := signed.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return other.Context().Digest(digest.String()).Name(), claims
}

// signFor signs an image for a hash.
func signFor(t *testing.T, image v1.Image, key provenance.Signer, configHash string) (v1.Image, provenance.Claims) {
	t.Helper()
	claims, err := signedimage.Claims(image, "arn:aws:ecr:eu-central-1:123456789012:repository/web")
	if err != nil {
		t.Fatal(err)
	}
	claims.Hash = configHash
	signed, err := signedimage.Sign(t.Context(), image, key, claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed, claims
}

func push(t *testing.T, repository name.Repository, image v1.Image) {
	t.Helper()
	if err := remote.Write(repository.Tag("signed"), image); err != nil {
		t.Fatal(err)
	}
}

// unreachable is an engine that must not be asked for anything if the image is not trusted.
type unreachable struct {
	builder.Engine
	pulls int
	// fails is how many pulls fail first.
	fails int
}

func (e *unreachable) Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error {
	if e.pulls++; e.pulls <= e.fails {
		return errors.New("dial tcp: connection refused")
	}
	return e.Engine.Pull(ctx, reference, dockerConfigDir, logs)
}

func TestOnlyATrustedImageIsPulled(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*trust)
		trusted bool
	}{
		"signed by a known key":     {func(*trust) {}, true},
		"no keys are known":         {func(t *trust) { t.keys = nil }, true}, // a controller that signs nothing
		"signed for another hash":   {func(t *trust) { t.want.Hash = "another" }, false},
		"signed for another system": {func(t *trust) { t.want.Platform = "linux/arm64" }, false},
		"signed by a revoked key":   {func(t *trust) { t.keys = provenance.NewVerifier(newKey()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for into, fails := range map[string]int{"engine": 0, "engine elsewhere": 1, "folder": 0} {
				wanted, trusted := signedPull(t)
				test.change(trusted)
				wanted.trust = trusted
				engine, storeFolder := embeddedEngine(t)
				watched := &unreachable{Engine: engine, fails: fails}
				folder := filepath.Join(t.TempDir(), "images")
				store := Store(EngineStore{watched})
				if into == "folder" {
					store, storeFolder = LayoutStore{Folder: folder}, folder
				}
				err := store.pull(t.Context(), wanted)
				var untrusted *untrustedError
				if test.trusted != (err == nil) || !test.trusted && !errors.As(err, &untrusted) {
					t.Errorf("%s: error %v", into, err)
				}
				if trusted.keys != nil && test.trusted != (trusted.signedBy != "") {
					t.Errorf("%s: signed by %q", into, trusted.signedBy)
				}
				if _, statErr := os.Stat(storeFolder); !test.trusted && (watched.pulls > 0 || statErr == nil) {
					t.Errorf("%s: an image that is not trusted was pulled %d times, %v", into, watched.pulls, statErr)
				}
			}
		})
	}
}

func newKey() provenance.Key {
	key, err := provenance.GenerateKey()
	if err != nil {
		panic(err)
	}
	return key.Key()
}

// TestAnImageIsCheckedWithoutARelayToo is for a relay that could not begin: the engine pulls by itself.
func TestAnImageIsCheckedWithoutARelayToo(t *testing.T) {
	wanted, trusted := signedPull(t)
	wanted.trust = trusted
	if err := wanted.checkBefore(t.Context()); err != nil || trusted.checked == "" {
		t.Errorf("a trusted image: %v", err)
	}
	other, trusted := signedPull(t)
	trusted.want.Hash, other.trust = "another", trusted
	var untrusted *untrustedError
	if err := other.checkBefore(t.Context()); !errors.As(err, &untrusted) {
		t.Errorf("another image: %v", err)
	}
	other.reference = "127.0.0.1:1/r@" + wanted.reference[len(wanted.reference)-71:]
	if err := other.checkBefore(t.Context()); err == nil {
		t.Error("an image that can't be read is taken for checked")
	}
}
