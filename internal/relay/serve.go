package relay

import (
	"crypto/subtle"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"imagecache.dev/internal/message"
)

// copyBuffer is the size of a transfer's buffer in bytes.
const copyBuffer = 256 << 10

// serve answers the requests that a client makes to pull an image:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
func (r *Relay) serve(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if given, password, _ := request.BasicAuth(); given != user ||
		subtle.ConstantTimeCompare([]byte(password), []byte(r.password)) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="imagecache"`)
		http.Error(w, "this relay serves only one pull", http.StatusUnauthorized)
		return
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		http.Error(w, "this relay is read-only", http.StatusMethodNotAllowed)
		return
	}
	if request.URL.Path == "/v2/" {
		return
	}
	wanted, ofImage := strings.CutPrefix(request.URL.Path, "/v2/"+r.image.Context().RepositoryStr()+"/")
	if !ofImage {
		http.NotFound(w, request)
		return
	}
	if wanted == "manifests/"+r.image.DigestStr() {
		r.serveManifest(w, request)
		return
	}
	digest, isBlob := strings.CutPrefix(wanted, "blobs/")
	if _, known := r.sizes[digest]; !isBlob || !known {
		http.NotFound(w, request)
		return
	}
	r.serveBlob(w, request, digest)
}

func (r *Relay) serveManifest(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", r.mediaType)
	w.Header().Set("Docker-Content-Digest", r.image.DigestStr())
	w.Header().Set("Content-Length", strconv.Itoa(len(r.manifest)))
	if request.Method == http.MethodGet {
		_, _ = w.Write(r.manifest)
	}
}

// passedOn are the headers of a blob's request and answer that both sides receive.
var (
	passedOnRequest = []string{"Range", "If-Range"}
	passedOnAnswer  = []string{"Content-Length", "Content-Range", "Content-Type", "Accept-Ranges", "Etag"}
)

// serveBlob passes a blob on. If the transfer fails, the client's connection ends too, and the client requests the
// rest.
func (r *Relay) serveBlob(w http.ResponseWriter, request *http.Request, digest string) {
	repository := r.image.Context()
	address := repository.Scheme() + "://" + repository.RegistryStr() +
		"/v2/" + repository.RepositoryStr() + "/blobs/" + digest
	wanted, err := http.NewRequestWithContext(request.Context(), request.Method, address, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	copyHeaders(wanted.Header, request.Header, passedOnRequest)
	answer, err := r.upstream.Do(wanted)
	if err != nil {
		http.Error(w, message.Redact(err.Error()), http.StatusBadGateway) // engines log it
		return
	}
	defer func() { _ = answer.Body.Close() }()
	copyHeaders(w.Header(), answer.Header, passedOnAnswer)
	w.WriteHeader(answer.StatusCode)
	defer r.begin()()
	out := io.Writer(w)
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusPartialContent {
		out = &meter{out: w, relay: r, digest: digest}
	}
	// The wrapper hides ReadFrom and WriteTo, which would bypass the buffer.
	if _, err := io.CopyBuffer(out, struct{ io.Reader }{answer.Body}, make([]byte, copyBuffer)); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func copyHeaders(to, from http.Header, names []string) {
	for _, name := range names {
		if value := from.Get(name); value != "" {
			to.Set(name, value)
		}
	}
}

// meter counts the bytes that a client has read.
type meter struct {
	out    io.Writer
	relay  *Relay
	digest string
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.out.Write(p)
	m.relay.count(m.digest, int64(n))
	return n, err
}

// count reports the progress of the pull. A part that is requested again does not raise the count above the total.
func (r *Relay) count(digest string, bytes int64) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.passed[digest] += bytes
	done := min(r.done.Load()+bytes, r.total)
	r.done.Store(done)
	if r.watch.Progress != nil && !r.closed {
		r.watch.Progress(done, r.total)
	}
}

// begin notes that the transfer of a blob begins, and returns what notes its end.
func (r *Relay) begin() (end func()) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.open++
	if r.idle == nil {
		r.idle = time.AfterFunc(idleAfter, r.tellIdle)
	}
	r.idle.Stop()
	return func() {
		r.telling.Lock()
		defer r.telling.Unlock()
		if r.open--; r.open == 0 && !r.closed {
			r.idle.Reset(idleAfter)
		}
	}
}

// tellIdle reports that the client takes no bytes, and again as long as it takes none.
func (r *Relay) tellIdle() {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.closed || r.open > 0 {
		return
	}
	if r.watch.Idle != nil {
		r.watch.Idle(r.done.Load(), r.total)
	}
	r.idle.Reset(idleAfter)
}
