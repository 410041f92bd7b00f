package runner

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/provenance"
)

// untrustedError is why a cached image must not be used.
type untrustedError struct{ err error }

func (e *untrustedError) Error() string { return e.err.Error() }

func (e *untrustedError) Unwrap() error { return e.err }

// trust is what a cached image must be. Its zero value trusts every image: the controller signs nothing.
type trust struct {
	keys *provenance.Verifier
	want provenance.Claims
	// signedBy is the ID of the key that signed an image that was checked.
	signedBy string
	// checked is the digest of that image.
	checked string
}

// readTrust reads the keys that the controller signs with. The hash is the one that this process computed, so another
// image's reference in the request's status is found out too.
func (p *preparation) readTrust(ctx context.Context) (*trust, error) {
	keys, err := cluster.SigningKeys(ctx, p.runner.Client, p.project)
	if err != nil || keys == nil {
		return &trust{}, err
	}
	repository, err := cluster.RepositoryARN(ctx, p.runner.Client, p.project)
	if err != nil {
		return nil, err
	}
	key := p.subject.key
	return &trust{keys: keys, want: provenance.Claims{
		RepositoryARN: repository, Hash: key.Hash, HashVersion: key.Version, Platform: key.Platform,
	}}, nil
}

// of returns what the image of another hash of the project must be. An earlier version of the hash serves as well: only
// layers are taken from it.
func (t *trust) of(configHash string) *trust {
	other := &trust{keys: t.keys, want: t.want}
	other.want.Hash, other.want.HashVersion = configHash, 0
	return other
}

// check returns an *untrustedError if a manifest is not that of the image that is wanted, signed by a known key.
func (t *trust) check(manifest []byte, digest string) error {
	if t == nil || t.keys == nil || t.checked == digest {
		return nil
	}
	want := t.want
	if want.HashVersion == 0 { // any
		if read, err := t.keys.Read(manifest, digest); err == nil {
			want.HashVersion = read.Brief.HashVersion
		}
	}
	found, err := t.keys.Verify(manifest, digest, want)
	if err != nil {
		return &untrustedError{err}
	}
	t.signedBy, t.checked = found.KeyID, digest
	return nil
}

// checkImage checks an image in its registry.
func (t *trust) checkImage(image v1.Image) error {
	manifest, err := image.RawManifest()
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	return t.check(manifest, digest.String())
}

// checkBefore checks the image of a pull that no relay serves, unless it was checked.
func (p *pull) checkBefore(ctx context.Context) error {
	digest, _, err := p.source()
	if err != nil || p.trust == nil || p.trust.keys == nil || p.trust.checked == digest.DigestStr() {
		return err
	}
	image, err := p.fromRegistry(ctx)
	if err != nil {
		return err
	}
	return p.trust.checkImage(image)
}
