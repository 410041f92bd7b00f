package ecr

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"imagecache.dev/test/awsemulator/internal/blob"
	"imagecache.dev/test/awsemulator/internal/caller"
)

type download struct {
	blob    *blob.Blob
	expires time.Time
}

// downloadLife is how long a layer's URL works. ECR's are presigned S3 URLs of one hour.
const downloadLife = time.Hour

func newID(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

type checkLayersIn struct {
	RegistryID     string   `json:"registryId"`
	RepositoryName string   `json:"repositoryName"`
	Digests        []string `json:"layerDigests"`
}

type layerJSON struct {
	Digest       string `json:"layerDigest"`
	Availability string `json:"layerAvailability"`
	Size         int64  `json:"layerSize,omitempty"`
	MediaType    string `json:"mediaType,omitempty"`
}

type layerFailure struct {
	Digest string `json:"layerDigest"`
	Code   string `json:"failureCode"`
	Reason string `json:"failureReason"`
}

type checkLayersOut struct {
	Layers   []layerJSON    `json:"layers"`
	Failures []layerFailure `json:"failures"`
}

func (r *Registry) batchCheckLayerAvailability(c *caller.Caller, in *checkLayersIn) (*checkLayersOut, error) {
	if len(in.Digests) < 1 || len(in.Digests) > maxIDs {
		return nil, invalid("Invalid parameter at 'layerDigests' failed to satisfy constraint: 'must have between 1 and %d members'", maxIDs)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.open(c, "BatchCheckLayerAvailability", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &checkLayersOut{Layers: []layerJSON{}, Failures: []layerFailure{}}
	for _, d := range in.Digests {
		if !digestPattern.MatchString(d) {
			out.Failures = append(out.Failures, layerFailure{d, "InvalidLayerDigest", "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"})
			continue
		}
		l := layerJSON{Digest: d, Availability: "UNAVAILABLE"}
		if have := p.layers[d]; have != nil {
			l.Availability, l.Size, l.MediaType = p.availability(d), have.blob.Size, "application/vnd.docker.image.rootfs.diff.tar.gzip"
		}
		out.Layers = append(out.Layers, l)
	}
	return out, nil
}

type downloadURLIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	Digest         string `json:"layerDigest"`
}

type downloadURLOut struct {
	URL    string `json:"downloadUrl"`
	Digest string `json:"layerDigest"`
}

func (r *Registry) getDownloadURLForLayer(c *caller.Caller, in *downloadURLIn) (*downloadURLOut, error) {
	if !digestPattern.MatchString(in.Digest) {
		return nil, invalid("Invalid parameter at 'layerDigest' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''")
	}
	url, err := r.downloadURL(c, in.RegistryID, in.RepositoryName, in.Digest)
	if err != nil {
		return nil, err
	}
	return &downloadURLOut{url, in.Digest}, nil
}

// downloadURL gives out a layer only if an image names it.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html
func (r *Registry) downloadURL(c *caller.Caller, registryID, name, digest string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "GetDownloadUrlForLayer", registryID, name)
	if err != nil {
		return "", err
	}
	l := p.layers[digest]
	if l == nil {
		return "", layersNotFound([]string{digest}, name, r.settings.Account)
	}
	if l.refs == 0 {
		return "", registryError(http.StatusNotFound, "BLOB_UNKNOWN", "LayerInaccessibleException",
			"The layer with digest '%s' is not available in the repository with name '%s' in the registry with id '%s' because it is not associated with an image. Unassociated image layers may be cleaned up at any time.", digest, name, r.settings.Account)
	}
	for token, d := range r.downloads {
		if d.expires.Before(c.Now) {
			delete(r.downloads, token)
		}
	}
	token := newID(24)
	r.downloads[token] = download{l.blob, c.Now.Add(downloadLife)}
	return r.settings.URL + DownloadPath + token, nil
}

// DownloadPath is where layers are fetched from, as S3 URLs are with ECR: whoever has the URL has the layer.
const DownloadPath = "/_layers/"

// ServeDownload answers a layer's URL, ranges too.
func (r *Registry) ServeDownload(w http.ResponseWriter, req *http.Request) {
	r.mu.RLock()
	d, ok := r.downloads[req.URL.Path[len(DownloadPath):]]
	r.mu.RUnlock()
	if !ok || d.expires.Before(r.settings.Clock.Now()) {
		http.Error(w, "request has expired", http.StatusForbidden)
		return
	}
	content, err := d.blob.Open()
	if err != nil {
		http.Error(w, "the layer is gone", http.StatusNotFound)
		return
	}
	defer func() { _ = content.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", d.blob.Digest)
	w.Header().Set("ETag", `"`+d.blob.Digest+`"`)
	http.ServeContent(w, req, "", time.Time{}, content)
}

// VanishLayers drops layers that no image names, as ECR may do at any time, and says how many. An empty name means all repositories.
func (r *Registry) VanishLayers(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.repos {
		if name == "" || p.name == name {
			n += r.vanish(p, r.settings.Clock.Now().Add(time.Second))
		}
	}
	return n
}

// vanish drops the repository's layers that no image names and that were uploaded before a time.
func (r *Registry) vanish(p *repository, before time.Time) int {
	n := 0
	for d, l := range p.layers {
		if l.refs == 0 && l.uploaded.Before(before) {
			r.blobs.Release(l.blob)
			delete(p.layers, d)
			n++
		}
	}
	return n
}

// LoseLayer drops one layer, even if an image names it, and says whether it was there: what a test of a damaged registry needs.
func (r *Registry) LoseLayer(name, digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repos[name]
	if p == nil || p.layers[digest] == nil {
		return false
	}
	if n := p.layers[digest].refs; n > 0 {
		if p.lost == nil {
			p.lost = map[string]int{}
		}
		p.lost[digest] = n
	}
	r.blobs.Release(p.layers[digest].blob)
	delete(p.layers, digest)
	return true
}

// LayerSize says how long a layer is; that it is not there is BLOB_UNKNOWN.
func (r *Registry) LayerSize(c *caller.Caller, name, digest string) (int64, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.open(c, "BatchCheckLayerAvailability", "", name)
	if err != nil {
		return 0, err
	}
	l := p.layers[digest]
	if l == nil || p.availability(digest) != "AVAILABLE" {
		return 0, layersNotFound([]string{digest}, name, r.settings.Account)
	}
	return l.blob.Size, nil
}

// LayerURL is where the distribution protocol redirects for a layer.
func (r *Registry) LayerURL(c *caller.Caller, name, digest string) (string, error) {
	return r.downloadURL(c, "", name, digest)
}
