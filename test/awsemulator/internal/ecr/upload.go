package ecr

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/blob"
	"imagecache.dev/test/awsemulator/internal/caller"
)

type upload struct {
	id      string
	repo    *repository
	started time.Time

	mu       sync.Mutex
	content  *blob.Upload
	parts    int
	short    bool // a part that was not the last was below the least size
	lastPart int64
	// firstPart is how much the first request of the distribution protocol sent.
	firstPart int64
}

func newUploadID() string {
	s := newID(16)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

type initiateIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
}

type initiateOut struct {
	UploadID string `json:"uploadId"`
	PartSize int64  `json:"partSize"`
}

func (r *Registry) initiateLayerUpload(c *caller.Caller, in *initiateIn) (*initiateOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.openForPush(c, "InitiateLayerUpload", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	u := &upload{id: newUploadID(), repo: p, started: c.Now, content: r.blobs.NewUpload()}
	r.uploads[u.id] = u
	return &initiateOut{u.id, partSize}, nil
}

// forget takes the uploads that are chosen off the list. Callers hold the write lock, and cancel them once it is free: whoever writes
// to an upload holds its lock while waiting for the registry's.
func (r *Registry) forget(chosen func(*upload) bool) []*upload {
	var out []*upload
	for id, u := range r.uploads {
		if chosen(u) {
			delete(r.uploads, id)
			out = append(out, u)
		}
	}
	return out
}

func cancel(uploads []*upload) {
	for _, u := range uploads {
		u.mu.Lock()
		u.content.Cancel()
		u.mu.Unlock()
	}
}

// uploading finds an upload for an action on it.
func (r *Registry) uploading(c *caller.Caller, action, registryID, name, id string) (*upload, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.open(c, action, registryID, name)
	if err != nil {
		return nil, err
	}
	u := r.uploads[id]
	if u == nil || u.repo != p {
		return nil, uploadNotFound(id, name, r.settings.Account)
	}
	return u, nil
}

type uploadPartIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	UploadID       string `json:"uploadId"`
	First          int64  `json:"partFirstByte"`
	Last           int64  `json:"partLastByte"`
	Part           []byte `json:"layerPartBlob"`
}

type uploadPartOut struct {
	RegistryID       string `json:"registryId"`
	RepositoryName   string `json:"repositoryName"`
	UploadID         string `json:"uploadId"`
	LastByteReceived int64  `json:"lastByteReceived"`
}

// uploadLayerPart takes parts in order: each begins where the last one ended.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
func (r *Registry) uploadLayerPart(c *caller.Caller, in *uploadPartIn) (*uploadPartOut, error) {
	u, err := r.uploading(c, "UploadLayerPart", in.RegistryID, in.RepositoryName, in.UploadID)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if in.First != u.content.Size() {
		return nil, r.invalidPart(u, "The layer part size is not valid, or the first byte specified is not consecutive to the last byte of a previous layer part upload")
	}
	if len(in.Part) == 0 || len(in.Part) > maxLayerPart || in.Last-in.First+1 != int64(len(in.Part)) {
		return nil, r.invalidPart(u, fmt.Sprintf("Layer part must have between 1 and %d bytes, and as many as partFirstByte and partLastByte say", maxLayerPart))
	}
	if u.parts > 0 && u.lastPart < minLayerPart {
		u.short = true
	}
	if u.content.Size()+int64(len(in.Part)) > maxLayer {
		return nil, apierror.New("LimitExceededException", "A layer may have %d bytes", int64(maxLayer))
	}
	if _, err := u.content.Write(in.Part); err != nil {
		return nil, fmt.Errorf("store layer part: %w", err)
	}
	u.parts++
	u.lastPart = int64(len(in.Part))
	return &uploadPartOut{r.settings.Account, in.RepositoryName, in.UploadID, u.content.Size() - 1}, nil
}

// invalidPart: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html#API_UploadLayerPart_Errors
func (r *Registry) invalidPart(u *upload, why string) error {
	e := apierror.New("InvalidLayerPartException", "%s: the last valid byte is %d", why, u.content.Size()-1)
	e.Fields = map[string]any{
		"registryId": r.settings.Account, "repositoryName": u.repo.name, "uploadId": u.id, "lastValidByteReceived": u.content.Size() - 1,
	}
	return e
}

type completeIn struct {
	RegistryID     string   `json:"registryId"`
	RepositoryName string   `json:"repositoryName"`
	UploadID       string   `json:"uploadId"`
	Digests        []string `json:"layerDigests"`
}

type completeOut struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	UploadID       string `json:"uploadId"`
	Digest         string `json:"layerDigest"`
}

func (r *Registry) completeLayerUpload(c *caller.Caller, in *completeIn) (*completeOut, error) {
	if len(in.Digests) < 1 || len(in.Digests) > maxIDs {
		return nil, invalid("Invalid parameter at 'layerDigests' failed to satisfy constraint: 'must have between 1 and %d members'", maxIDs)
	}
	u, err := r.uploading(c, "CompleteLayerUpload", in.RegistryID, in.RepositoryName, in.UploadID)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.content.Size() == 0:
		return nil, apierror.New("EmptyUploadException", "The specified layer upload does not contain any layer parts.")
	case u.short:
		return nil, apierror.New("LayerPartTooSmallException", "Layer parts must be at least %d bytes in size, but for the last one.", minLayerPart)
	}
	digest, existed, err := r.finish(c.Now, u, in.Digests[0])
	if err != nil {
		return nil, err
	}
	if existed {
		return nil, apierror.New("LayerAlreadyExistsException", "The image layer with digest '%s' already exists in the repository with name '%s' in the registry with id '%s'", digest, in.RepositoryName, r.settings.Account)
	}
	return &completeOut{r.settings.Account, in.RepositoryName, in.UploadID, digest}, nil
}

// finish turns an upload into a layer. Callers hold the upload's lock.
func (r *Registry) finish(now time.Time, u *upload, want string) (digest string, existed bool, err error) {
	digest = u.content.Digest()
	if digest != want {
		return "", false, registryError(http.StatusBadRequest, "DIGEST_INVALID", "InvalidLayerException",
			"The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not match the digest specified: '%s' is not '%s'", digest, want)
	}
	b, err := u.content.Finish()
	if err != nil {
		return "", false, uploadNotFound(u.id, u.repo.name, r.settings.Account)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, u.id)
	if r.repos[u.repo.name] != u.repo {
		r.blobs.Release(b)
		return "", false, repositoryNotFound(u.repo.name, r.settings.Account)
	}
	if known := u.repo.layers[digest]; known != nil {
		r.blobs.Release(b)
		existed = u.repo.availability(digest) == "AVAILABLE"
		known.again = !existed
		return digest, existed, nil
	}
	u.repo.layers[digest] = &layer{blob: b, uploaded: now, refs: u.repo.lost[digest]}
	delete(u.repo.lost, digest)
	return digest, false, nil
}

// AppendUpload adds what body has to an upload of the distribution protocol. from is where the client says that it begins, -1 where it does not say.
func (r *Registry) AppendUpload(c *caller.Caller, name, id string, from int64, body io.Reader) (int64, error) {
	u, err := r.uploading(c, "UploadLayerPart", "", name, id)
	if err != nil {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if from >= 0 && from != u.content.Size() {
		// https://github.com/apple/containerization/issues/790
		return u.content.Size(), registryError(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "InvalidLayerPartException",
			"First byte of the layer part is %d instead of %d", from, u.content.Size())
	}
	// What came before a connection broke stays.
	_, err = io.Copy(u.content, body)
	if u.firstPart == 0 {
		u.firstPart = u.content.Size()
	}
	if err != nil {
		return u.content.Size(), fmt.Errorf("store layer part: %w", err)
	}
	return u.content.Size(), nil
}

// StartUpload begins an upload of the distribution protocol.
func (r *Registry) StartUpload(c *caller.Caller, name string) (string, error) {
	out, err := r.initiateLayerUpload(c, &initiateIn{RepositoryName: name})
	if err != nil {
		return "", err
	}
	return out.UploadID, nil
}

// FirstPart is how much of an upload the first request sent.
func (r *Registry) FirstPart(c *caller.Caller, name, id string) (int64, error) {
	u, err := r.uploading(c, "UploadLayerPart", "", name, id)
	if err != nil {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.firstPart, nil
}

// UploadStatus tells nothing about an upload, even if it exists.
func (r *Registry) UploadStatus(c *caller.Caller, name, id string) error {
	if _, err := r.uploading(c, "UploadLayerPart", "", name, id); err != nil {
		return err
	}
	return uploadNotFound(id, name, r.settings.Account)
}

// FinishUpload ends an upload of the distribution protocol. That the layer is there already is no error.
func (r *Registry) FinishUpload(c *caller.Caller, name, id, digest string) error {
	u, err := r.uploading(c, "CompleteLayerUpload", "", name, id)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	_, _, err = r.finish(c.Now, u, digest)
	return err
}

// CancelUpload drops an upload.
func (r *Registry) CancelUpload(c *caller.Caller, name, id string) error {
	u, err := r.uploading(c, "UploadLayerPart", "", name, id)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.content.Cancel()
	u.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, id)
	return nil
}
