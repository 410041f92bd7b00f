package publication

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
)

// Sign returns the image with a signed statement in the manifest, and so with another digest. It writes the manifest in
// the one form that package provenance accepts. Sign an image that Annotate returned.
func (i *Image) Sign(envelope []byte) (*Image, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(i.Manifest))
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	if manifest.Annotations == nil {
		manifest.Annotations = map[string]string{}
	}
	manifest.Annotations[imagelabel.Provenance] = string(envelope)
	signed := *i
	if signed.Manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	signed.Digest = ocidigest.FromBytes(signed.Manifest).String()
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
