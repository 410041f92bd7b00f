// Package testregistry runs a registry on loopback, in the memory of a test.
package testregistry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
)

// Start starts an empty registry, and returns its host and port. It ends with the test. before may be nil, or answer a
// request itself.
func Start(t *testing.T, before func(w http.ResponseWriter, r *http.Request) (answered bool)) (host string) {
	t.Helper()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			store.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Repository returns a project's repository in the registry at host.
func Repository(t *testing.T, host string) name.Repository {
	t.Helper()
	repository, err := name.NewRepository(host + "/gitpod-runner-r/projects/p/image-build")
	if err != nil {
		t.Fatal(err)
	}
	return repository
}
