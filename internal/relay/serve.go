package relay

import (
	"crypto/subtle"
	"fmt"
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
	if wanted == "manifests/"+r.digest.String() {
		r.serveManifest(w, request)
		return
	}
	digest, isBlob := strings.CutPrefix(wanted, "blobs/")
	place, known := r.places[digest]
	if !isBlob || !known {
		http.NotFound(w, request)
		return
	}
	r.serveBlob(w, request, place)
}

func (r *Relay) serveManifest(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", string(r.offer.mediaType))
	w.Header().Set("Docker-Content-Digest", r.digest.String())
	w.Header().Set("Content-Length", strconv.Itoa(len(r.offer.manifest)))
	if request.Method == http.MethodGet {
		_, _ = w.Write(r.offer.manifest)
	}
}

// serveBlob answers with a blob, or with the rest of it from an offset on. If the transfer fails, the client's
// connection ends too, and the client requests the rest.
func (r *Relay) serveBlob(w http.ResponseWriter, request *http.Request, place int) {
	served := r.offer.blobs[place].served
	offset, length := rangeOf(request.Header.Get("Range"), served.Size)
	status := http.StatusOK
	if length < served.Size {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, served.Size))
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.Header().Set("Docker-Content-Digest", served.Digest.String())
	if request.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-request.Context().Done():
		return
	}
	defer r.begin()()
	content, err := r.content(request.Context(), place, offset)
	if err != nil {
		r.refuse(w, request, err)
		return
	}
	defer func() { _ = content.Close() }()
	if err := r.copy(w, content, place, status, length); err != nil {
		r.refuse(w, request, err)
	}
}

// refuse answers that the registry failed. The error holds no address of the registry's storage.
func (r *Relay) refuse(w http.ResponseWriter, request *http.Request, err error) {
	if request.Context().Err() == nil { // else the client went away, or the relay's user
		r.tellFailed(err)
	}
	for _, name := range []string{"Content-Length", "Content-Range", "Docker-Content-Digest"} {
		w.Header().Del(name)
	}
	http.Error(w, message.Redact(err.Error()), http.StatusBadGateway) // engines log it
}

// copy answers with the content. The status waits for its first bytes. If there are none, copy answers nothing and
// returns why.
func (r *Relay) copy(w http.ResponseWriter, content io.Reader, place, status int, length int64) error {
	buffer := make([]byte, min(copyBuffer, max(length, 1)))
	began := false
	for length > 0 {
		n, err := content.Read(buffer[:min(int64(len(buffer)), length)])
		if n > 0 {
			if !began {
				w.WriteHeader(status)
				began = true
			}
			written, writeErr := w.Write(buffer[:n])
			r.count(place, int64(written))
			length -= int64(written)
			if writeErr != nil {
				panic(http.ErrAbortHandler)
			}
		}
		switch {
		case err == nil || length == 0:
		case began:
			panic(http.ErrAbortHandler)
		default:
			return err
		}
	}
	if !began {
		w.WriteHeader(status)
	}
	return nil
}

// rangeOf returns the part of a blob that a header asks for. All that clients send to continue a transfer is one range;
// any other header, as RFC 9110 allows, gets the whole blob.
func rangeOf(header string, size int64) (offset, length int64) {
	first, last, isRange := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if !isRange || err != nil || from < 0 || from >= size || !strings.HasPrefix(header, "bytes=") {
		return 0, size
	}
	if last == "" {
		return from, size - from
	}
	to, err := strconv.ParseInt(last, 10, 64)
	if err != nil || to < from {
		return 0, size
	}
	return from, min(to+1, size) - from
}

// count reports the progress of the pull in bytes of the published image. A part that is requested again does not raise
// the count above the total.
func (r *Relay) count(place int, bytes int64) {
	r.telling.Lock()
	defer r.telling.Unlock()
	blob := r.offer.blobs[place]
	digest := blob.served.Digest.String()
	before := r.passed[digest]
	r.passed[digest] += bytes
	gain := bytes
	if blob.format != "" { // in proportion; bytes below 2^44, so the product needs floating point
		share := float64(blob.published.Size) / float64(blob.served.Size)
		gain = int64(float64(before+bytes)*share) - int64(float64(before)*share)
		if before+bytes == blob.served.Size {
			gain = blob.published.Size - int64(float64(before)*share)
		}
	}
	done := min(r.done.Load()+gain, r.total)
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

// tellFailed reports that a client gets no byte of a blob.
func (r *Relay) tellFailed(err error) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.watch.Failed != nil && !r.closed {
		r.watch.Failed(err)
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
