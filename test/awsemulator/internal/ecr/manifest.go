package ecr

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// The media types of manifests that ECR takes.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
)

type descriptor struct {
	MediaType    string   `json:"mediaType"`
	Digest       string   `json:"digest"`
	Size         int64    `json:"size"`
	URLs         []string `json:"urls"`
	ArtifactType string   `json:"artifactType"`
}

type manifestJSON struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests"`
	Subject       *descriptor  `json:"subject"`

	Annotations map[string]string `json:"annotations"`
}

// parseManifest reads what ECR needs of a manifest. said is the media type that the request names, which must be the
// manifest's own where that has one.
func parseManifest(body []byte, said string) (*image, error) {
	if len(body) == 0 || len(body) > maxManifest {
		return nil, invalid("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'must have length between 1 and %d'", maxManifest)
	}
	var m manifestJSON
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, invalidManifest("Invalid JSON syntax")
	}
	switch m.SchemaVersion {
	case 1:
		e := apierror.NotEmulated("a manifest of schema version 1")
		e.RegistryCode, e.RegistryStatus = "MANIFEST_INVALID", http.StatusBadRequest
		return nil, e
	case 2:
	default:
		return nil, invalidManifest("schemaVersion is not 2")
	}
	mediaType := m.MediaType
	switch {
	case mediaType == "":
		mediaType = said
	case said != "" && said != mediaType:
		return nil, invalidManifest("the media type in the request is not that in the manifest")
	}
	img := &image{mediaType: mediaType, manifest: body, artifactType: m.ArtifactType, annotations: m.Annotations}
	switch mediaType {
	case "":
		return nil, invalidManifest("mediaType is missing: give imageManifestMediaType")
	case dockerManifest, ociManifest:
		if m.Config == nil {
			return nil, invalidManifest("config is missing")
		}
		if img.artifactType == "" {
			img.artifactType = m.Config.MediaType
		}
		for _, d := range append([]descriptor{*m.Config}, m.Layers...) {
			if !sha256Pattern.MatchString(d.Digest) {
				return nil, invalidManifest("a digest is not valid")
			}
			img.size += d.Size
			if !foreign(d.MediaType) {
				img.layers = append(img.layers, d.Digest)
			}
		}
		sort.Strings(img.layers)
		img.layers = slices.Compact(img.layers)
	case dockerList, ociIndex:
		for _, d := range m.Manifests {
			if !sha256Pattern.MatchString(d.Digest) {
				return nil, invalidManifest("a digest is not valid")
			}
			img.children = append(img.children, d.Digest)
		}
	default:
		return nil, invalidManifest("media type " + mediaType + " is not supported")
	}
	if m.Subject != nil {
		if !sha256Pattern.MatchString(m.Subject.Digest) {
			return nil, invalidManifest("the subject's digest is not valid")
		}
		img.subject = m.Subject.Digest
	}
	return img, nil
}

// foreign layers are fetched from elsewhere, so the registry does not have them.
func foreign(mediaType string) bool {
	return strings.Contains(mediaType, ".foreign.") || strings.Contains(mediaType, "nondistributable")
}

func invalidManifest(why string) error {
	return registryError(400, "MANIFEST_INVALID", "InvalidParameterException",
		"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid image manifest: %s'", why)
}
