// Package registry speaks the distribution protocol over ECR's store. Every request is authorised as the ecr: action that ECR maps
// it to, with the rights of the session that asked for the password.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md
package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/ecr"
)

// Request is one parsed request of the protocol.
type Request struct {
	Operation string // the ecr: action, or registry:GetVersion
	Name      string // repository
	serve     func(*Handler, http.ResponseWriter, *http.Request, *caller.Caller, Request) error
	ref       string // tag, digest or upload ID
}

// Handler serves parsed and authenticated requests.
type Handler struct {
	store *ecr.Registry
}

// New makes a handler over the store.
func New(store *ecr.Registry) *Handler { return &Handler{store: store} }

// Prefix is where the protocol lives.
const Prefix = "/v2/"

// Parse tells what a request asks for. It does not look at the store.
func Parse(r *http.Request) (Request, error) {
	path := strings.TrimPrefix(r.URL.Path, "/v2")
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return Request{Operation: "registry:GetVersion", serve: (*Handler).version}, nil
	}
	if path == "_catalog" {
		if r.Method != http.MethodGet {
			return Request{}, unsupported(r.Method + " is not emulated here")
		}
		return Request{Operation: "ecr:DescribeRepositories", serve: (*Handler).catalog}, nil
	}
	type route struct {
		middle  string
		methods map[string]Request
	}
	for _, rt := range []route{
		{"/blobs/uploads", map[string]Request{
			http.MethodPost:   {Operation: "ecr:InitiateLayerUpload", serve: (*Handler).startUpload},
			http.MethodPatch:  {Operation: "ecr:UploadLayerPart", serve: (*Handler).appendUpload},
			http.MethodPut:    {Operation: "ecr:CompleteLayerUpload", serve: (*Handler).finishUpload},
			http.MethodGet:    {Operation: "ecr:UploadLayerPart", serve: (*Handler).uploadStatus},
			http.MethodDelete: {Operation: "ecr:UploadLayerPart", serve: (*Handler).cancelUpload},
		}},
		{"/blobs/", map[string]Request{
			http.MethodHead: {Operation: "ecr:BatchCheckLayerAvailability", serve: (*Handler).statLayer},
			http.MethodGet:  {Operation: "ecr:GetDownloadUrlForLayer", serve: (*Handler).getLayer},
		}},
		{"/manifests/", map[string]Request{
			http.MethodHead: {Operation: "ecr:BatchGetImage", serve: (*Handler).getManifest},
			http.MethodGet:  {Operation: "ecr:BatchGetImage", serve: (*Handler).getManifest},
			http.MethodPut:  {Operation: "ecr:PutImage", serve: (*Handler).putManifest},

			http.MethodDelete: {Operation: "ecr:BatchDeleteImage", serve: (*Handler).deleteManifest},
		}},
		{"/tags/list", map[string]Request{
			http.MethodGet: {Operation: "ecr:ListImages", serve: (*Handler).listTags},
		}},
		{"/referrers/", map[string]Request{
			http.MethodGet: {Operation: "ecr:BatchGetImage", serve: (*Handler).referrers},
		}},
	} {
		i := strings.LastIndex(path, rt.middle)
		if i <= 0 {
			continue
		}
		req, ok := rt.methods[r.Method]
		if !ok {
			return Request{}, unsupported(r.Method + " is not emulated here")
		}
		req.Name = path[:i]
		req.ref = strings.Trim(path[i+len(rt.middle):], "/")
		return req, nil
	}
	return Request{}, &apierror.Error{Code: "NotFound", Message: "page not found", Status: http.StatusNotFound, RegistryCode: "NAME_INVALID", RegistryStatus: http.StatusNotFound}
}

func unsupported(why string) error {
	return &apierror.Error{Code: "NotEmulatedException", Message: why, RegistryCode: "UNSUPPORTED", RegistryStatus: http.StatusMethodNotAllowed}
}

// Serve answers a request for a caller.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	return req.serve(h, w, r, c, req)
}

// WriteError answers with an error as the protocol writes it. The body of a HEAD has no bytes, so net/http drops it.
func WriteError(w http.ResponseWriter, e *apierror.Error) {
	code, status := e.RegistryCode, e.RegistryStatus
	if code == "" {
		code, status = "UNKNOWN", e.HTTPStatus()
		if strings.Contains(e.Code, "Throttling") || strings.Contains(e.Code, "TooManyRequests") {
			code, status = "TOOMANYREQUESTS", http.StatusTooManyRequests
		}
		if strings.Contains(e.Code, "AccessDenied") {
			code, status = "DENIED", http.StatusForbidden
		}
	}
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(map[string][]one{"errors": {{code, e.Message}}})
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (h *Handler) version(w http.ResponseWriter, _ *http.Request, _ *caller.Caller, _ Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	return nil
}

// maxBody bounds a manifest.
const maxBody = 4<<20 + 1

func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	digest, subject, err := h.store.PushManifest(c, req.Name, req.ref, strings.TrimSpace(mediaType), body)
	if err != nil {
		return err
	}
	if subject != "" {
		// Without it, clients take the registry for one without referrers, and keep a list of them under a tag.
		// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
		w.Header().Set("OCI-Subject", subject)
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Location", Prefix+req.Name+"/manifests/"+digest)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *Handler) deleteManifest(w http.ResponseWriter, _ *http.Request, c *caller.Caller, req Request) error {
	if err := h.store.DeleteManifest(c, req.Name, req.ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	m, err := h.store.Manifest(c, req.Name, req.ref)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", m.MediaType)
	w.Header().Set("Docker-Content-Digest", m.Digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.Body)
	}
	return nil
}

// maxListPage: ECR refuses larger pages of tags and repositories.
const maxListPage = 1000

func listPage(r *http.Request) (size int, err error) {
	s := r.URL.Query().Get("n")
	if s == "" {
		return maxListPage, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxListPage {
		return 0, &apierror.Error{Code: "InvalidParameterException", RegistryCode: "UNSUPPORTED", RegistryStatus: http.StatusBadRequest,
			Message: fmt.Sprintf("Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be between 1 and %d'", maxListPage)}
	}
	return n, nil
}

func (h *Handler) catalog(w http.ResponseWriter, r *http.Request, c *caller.Caller, _ Request) error {
	size, err := listPage(r)
	if err != nil {
		return err
	}
	names, more, err := h.store.Catalog(c, r.URL.Query().Get("last"), size)
	if err != nil {
		return err
	}
	if more {
		w.Header().Set("Link", fmt.Sprintf(`<%s_catalog?n=%d&last=%s>; rel="next"`, Prefix, size, url.QueryEscape(names[size-1])))
	}
	return writeJSON(w, "application/json", map[string][]string{"repositories": names})
}

func (h *Handler) listTags(w http.ResponseWriter, r *http.Request, c *caller.Caller, req Request) error {
	size, err := listPage(r)
	if err != nil {
		return err
	}
	tags, more, err := h.store.TagNames(c, req.Name, r.URL.Query().Get("last"), size)
	if err != nil {
		return err
	}
	if more {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s/tags/list?n=%d&last=%s>; rel="next"`, Prefix, req.Name, size, tags[size-1]))
	}
	return writeJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{req.Name, tags})
}

func writeJSON(w http.ResponseWriter, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(body)
	return nil
}
