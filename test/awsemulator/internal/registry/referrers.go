package registry

import (
	"net/http"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// referrers answers the images whose subject is a digest, each with its annotations.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
func (h *Handler) referrers(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	all, err := h.store.Referrers(c, req.Name, req.ref)
	if err != nil {
		return err
	}
	type descriptor struct {
		MediaType    string `json:"mediaType"`
		Digest       string `json:"digest"`
		Size         int    `json:"size"`
		ArtifactType string `json:"artifactType,omitempty"`

		Annotations map[string]string `json:"annotations,omitempty"`
	}
	index := struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, "application/vnd.oci.image.index.v1+json", []descriptor{}}
	want := r.URL.Query().Get("artifactType")
	for _, x := range all {
		if want == "" || want == x.ArtifactType {
			index.Manifests = append(index.Manifests, descriptor{x.MediaType, x.Digest, x.Size, x.ArtifactType, x.Annotations})
		}
	}
	if want != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return writeJSON(w, index.MediaType, index)
}
