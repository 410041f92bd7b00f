package intake

import (
	"bytes"
	"errors"

	"cuelabs.dev/go/oci/ociregistry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func (i *Intake) resolveBlob(repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error) {
	hash, err := v1.NewHash(string(digest))
	if err != nil || repo != repository {
		return ociregistry.Descriptor{}, ociregistry.ErrBlobUnknown
	}
	size, has := i.owner.Has(hash)
	if !has {
		return ociregistry.Descriptor{}, ociregistry.ErrBlobUnknown
	}
	return ociregistry.Descriptor{MediaType: "application/octet-stream", Digest: digest, Size: size}, nil
}

func (i *Intake) resolveManifest(repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.manifests {
		if repo == repository && m.Digest.String() == string(digest) {
			return m.descriptor(), nil
		}
	}
	return ociregistry.Descriptor{}, ociregistry.ErrManifestUnknown
}

// putManifest takes a manifest, also one whose blobs are not there.
func (i *Intake) putManifest(repo, under string, content []byte, mediaType string) (ociregistry.Descriptor, error) {
	if repo != repository || len(content) > maxManifestBytes {
		return ociregistry.Descriptor{}, ociregistry.ErrManifestInvalid
	}
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	m := Manifest{MediaType: mediaType, Content: content, Digest: digest}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.manifests) == maxManifests {
		return ociregistry.Descriptor{}, errors.New("too many manifests")
	}
	i.manifests = append(i.manifests, m)
	if under != "" {
		i.tagged = digest.String()
	}
	return m.descriptor(), nil
}

func (m Manifest) descriptor() ociregistry.Descriptor {
	return ociregistry.Descriptor{
		MediaType: m.MediaType, Digest: ociregistry.Digest(m.Digest.String()), Size: int64(len(m.Content)),
	}
}
