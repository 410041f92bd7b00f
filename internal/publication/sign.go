package publication

import (
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/provenance"
)

// Sign returns the image with a signed statement in the manifest, and so with another digest. sign makes the statement,
// which must make these claims about the manifest, and its envelope. Sign an image that Annotate returned.
func (i *Image) Sign(sign func(claims provenance.Claims) (envelope []byte, err error)) (*Image, error) {
	manifest, err := provenance.AddTo(i.Manifest, sign)
	if err != nil {
		return nil, err
	}
	signed := *i
	signed.Manifest, signed.Digest = manifest, ocidigest.FromBytes(manifest).String()
	return &signed, nil
}

// ClaimsFor returns what the signed statement of an image must say, for the DevcontainerImage with a UID. Empty means
// any.
func ClaimsFor(want Expectation, uid string) provenance.Claims {
	return provenance.Claims{
		RepositoryARN: want.RepositoryARN, Hash: want.Hash, HashVersion: want.HashVersion, Platform: want.Platform,
		RequestUID: uid,
	}
}
