package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

func (h *Handler) statLayer(w http.ResponseWriter, _ *http.Request, c *caller.Caller, req Request) error {
	size, err := h.store.LayerSize(c, req.Name, req.ref)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", req.ref)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// getLayer redirects, as ECR does to S3.
func (h *Handler) getLayer(w http.ResponseWriter, _ *http.Request, c *caller.Caller, req Request) error {
	location, err := h.store.LayerURL(c, req.Name, req.ref)
	if err != nil {
		return err
	}
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", req.ref)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// startUpload mounts from another repository only where the account's setting says so, as in ECR: else the client uploads.
func (h *Handler) startUpload(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	if mount := r.URL.Query().Get("mount"); mount != "" {
		done, err := h.store.Mount(c, req.Name, r.URL.Query().Get("from"), mount)
		if err != nil {
			return err
		}
		if done {
			created(w, req.Name, mount)
			return nil
		}
	}
	id, err := h.store.StartUpload(c, req.Name)
	if err != nil {
		return err
	}
	if digest := r.URL.Query().Get("digest"); digest != "" {
		// A monolithic upload; r.Body may also be empty, then the client goes on with PUT.
		size, err := h.store.AppendUpload(c, req.Name, id, -1, r.Body)
		if err != nil {
			return err
		}
		if size > 0 {
			return h.finished(w, c, req.Name, id, digest)
		}
	}
	h.location(w, req.Name, id, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handler) location(w http.ResponseWriter, name, id string, size int64) {
	w.Header().Set("Location", Prefix+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-Uuid", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
	w.Header().Set("Content-Length", "0")
}

// from is where a part begins, -1 where the request does not say.
func from(r *http.Request) (int64, error) {
	text := strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes ")
	if text == "" {
		return -1, nil
	}
	first, _, ok := strings.Cut(text, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, &apierror.Error{Code: "InvalidParameterException", Message: "invalid Content-Range", RegistryCode: "RANGE_INVALID", RegistryStatus: http.StatusRequestedRangeNotSatisfiable}
	}
	return n, nil
}

func (h *Handler) appendUpload(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	first, err := from(r)
	if err != nil {
		return err
	}
	if _, err := h.store.AppendUpload(c, req.Name, req.ref, first, r.Body); err != nil {
		return err
	}
	shown, err := h.store.FirstPart(c, req.Name, req.ref)
	if err != nil {
		return err
	}
	// ECR answers 201, and its Range does not go on after the first part: https://github.com/aws/containers-roadmap/issues/2831
	h.location(w, req.Name, req.ref, shown)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *Handler) finishUpload(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	if r.ContentLength != 0 {
		first, err := from(r)
		if err != nil {
			return err
		}
		if _, err := h.store.AppendUpload(c, req.Name, req.ref, first, r.Body); err != nil {
			return err
		}
	}
	return h.finished(w, c, req.Name, req.ref, r.URL.Query().Get("digest"))
}

func (h *Handler) finished(w http.ResponseWriter, c *caller.Caller, name, id, digest string) error {
	if err := h.store.FinishUpload(c, name, id, digest); err != nil {
		return err
	}
	created(w, name, digest)
	return nil
}

func created(w http.ResponseWriter, name, digest string) {
	w.Header().Set("Location", Prefix+name+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

// uploadStatus finds no upload, as seen on ECR's public registry: https://github.com/dotnet/sdk/pull/33019
func (h *Handler) uploadStatus(_ http.ResponseWriter, _ *http.Request, c *caller.Caller, req Request) error {
	return h.store.UploadStatus(c, req.Name, req.ref)
}

func (h *Handler) cancelUpload(w http.ResponseWriter, _ *http.Request, c *caller.Caller, req Request) error {
	if err := h.store.CancelUpload(c, req.Name, req.ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
