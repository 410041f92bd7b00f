//go:build linux

package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// stall is how a registry stops at a request.
type stall int

const (
	// stallInAnswer sends half of a blob.
	stallInAnswer stall = iota
	// stallAfterAnswer sends the blob, and does not stop.
	stallAfterAnswer
	// stallAfterRequest takes an upload, and does not answer.
	stallAfterRequest
)

// stallRegistry is a registry that stops at chosen requests, until their client goes away.
type stallRegistry struct {
	host string

	mu     sync.Mutex
	stalls []*stalledRequest
}

// stalledRequest is a request at which the registry stops.
type stalledRequest struct {
	how    stall
	method string
	path   string // a part of the request's path
	// reached is closed when the registry has stopped, or has sent all of the blob.
	reached chan struct{}
	once    sync.Once
}

func newStallRegistry(t *testing.T) *stallRegistry {
	t.Helper()
	s := &stallRegistry{}
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stalled := s.find(r); stalled != nil {
			stalled.serve(w, r, store)
			return
		}
		answer(w, r, store)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// answer answers also the requests for the rest of a blob that an engine makes after a transfer broke off.
func answer(w http.ResponseWriter, r *http.Request, store http.Handler) {
	if r.Header.Get("Range") == "" {
		store.ServeHTTP(w, r)
		return
	}
	all := r.Clone(r.Context())
	all.Header.Del("Range")
	whole := httptest.NewRecorder()
	store.ServeHTTP(whole, all)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole.Body.Bytes()))
}

// stallAt makes the registry stop at requests, until the returned function is called.
func (s *stallRegistry) stallAt(how stall, method, path string) (reached <-chan struct{}, goOn func()) {
	stalled := &stalledRequest{how: how, method: method, path: path, reached: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalls = append(s.stalls, stalled)
	return stalled.reached, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		stalled.method = "none"
	}
}

func (s *stallRegistry) find(r *http.Request) *stalledRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stalled := range s.stalls {
		if stalled.method == r.Method && strings.Contains(r.URL.Path, stalled.path) {
			return stalled
		}
	}
	return nil
}

func (s *stalledRequest) serve(w http.ResponseWriter, r *http.Request, store http.Handler) {
	switch s.how {
	case stallAfterRequest:
		_, _ = io.Copy(io.Discard, r.Body)
	case stallInAnswer:
		whole := httptest.NewRecorder()
		store.ServeHTTP(whole, r)
		for name, values := range whole.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
	case stallAfterAnswer:
		answer(w, r, store)
		s.once.Do(func() { close(s.reached) })
		return
	}
	s.once.Do(func() { close(s.reached) })
	<-r.Context().Done()
}
