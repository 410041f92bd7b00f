package builder_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/message"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testregistry"
)

// presigned is the query of an address as ECR makes them for layers.
const presigned = "?X-Amz-Security-Token=IQoJb3JpZ2luX2VjSECRET%2F%2F&X-Amz-Algorithm=AWS4-HMAC-SHA256" +
	"&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600" +
	"&X-Amz-Credential=ASIASECRET%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0123456789SECRET"

// The registry of this test sends its clients to storage as ECR does: with presigned addresses. The storage refuses
// them, or ends the connection.
func TestEnginesPrintNoPresignedAddressInTheirErrors(t *testing.T) {
	for _, kind := range engine.All {
		t.Run(string(kind), func(t *testing.T) {
			e := enginetest.StartKind(t, kind)
			for name, fail := range map[string]func(w http.ResponseWriter){
				"refused": func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
				"broken":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			} {
				t.Run(name, func(t *testing.T) { pullsWithoutLayers(t, e.Engine, fail) })
			}
		})
	}
}

func pullsWithoutLayers(t *testing.T, e builder.Engine, fail func(w http.ResponseWriter)) {
	t.Helper()
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fail(w) }))
	t.Cleanup(storage.Close)
	host := testregistry.Start(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || path.Base(path.Dir(r.URL.Path)) != "blobs" {
			return false
		}
		http.Redirect(w, r, storage.URL+"/layer/"+path.Base(r.URL.Path)+presigned, http.StatusTemporaryRedirect)
		return true
	})
	image := testregistry.Repository(t, host).Tag("1")
	if err := remote.Write(image, enginetest.BaseImage(t)); err != nil {
		t.Fatal(err)
	}
	login, err := dockerconfig.Private([]byte("{}"), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = login.Remove() })
	var logs bytes.Buffer
	err = e.Pull(t.Context(), image.Name(), login.Path, &logs)
	// What docker 20.10 and 28, containerd and podman say.
	if err == nil || !slices.ContainsFunc([]string{"/layer/sha256:", "403", "EOF", "denied"}, func(word string) bool {
		return strings.Contains(err.Error(), word)
	}) {
		t.Fatalf("the pull ended in %v, want that the storage gives no layer", err)
	}
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error has the presigned address: %v", err)
	}
	if text := message.Redact(logs.String()); strings.Contains(text, "SECRET") {
		t.Errorf("the redacted output has the presigned address: %s", text)
	}
}
