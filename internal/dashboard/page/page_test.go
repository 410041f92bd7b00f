package page

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/gate"
	"imagecache.dev/internal/dashboard/store"
)

// onlooker may list everything and change nothing. Its name is as bad as names get.
type onlooker struct{}

func (onlooker) Name() string { return `<script>alert(1)</script>` }

func (onlooker) May(_ context.Context, right access.Right) (bool, error) {
	return right.Verb == "list" || right.Verb == "get", nil
}

func (onlooker) Client() client.Client { return nil }

func (onlooker) Events() access.EventReader { return nil }

// get asks for a page of a store that has read nothing yet.
func get(t *testing.T, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	pages := New(Options{Store: store.New(), Base: "/base/", Now: time.Now})
	request := httptest.NewRequest(method, path, nil)
	request = request.WithContext(gate.WithViewer(request.Context(), onlooker{}))
	answer := httptest.NewRecorder()
	pages.Handler().ServeHTTP(answer, request)
	return answer
}

func TestAPageSaysThatItIsReadingAndRenewsItself(t *testing.T) {
	for _, path := range []string{"/working", "/savings", "/requests", "/images", "/toggle"} {
		page := get(t, http.MethodGet, path).Body.String()
		for _, want := range []string{"Reading requests, 0 so far.", `sse-connect="/base/events?since=`, `id="live"`, `id="rows"`} {
			if !strings.Contains(page, want) {
				t.Errorf("%s has not %q", path, want)
			}
		}
		if strings.Contains(page, "<script>alert") || strings.Contains(page, ` style="`) || strings.Contains(page, " onclick") {
			t.Errorf("%s has a script or a style within", path)
		}
	}
}

func TestWhatDoesNotExistIsSaid(t *testing.T) {
	for path, want := range map[string]int{
		"/images/n/gone": 404, "/toggle/n/gone": 404, "/nothing": 404,
	} {
		if answer := get(t, http.MethodGet, path); answer.Code != want {
			t.Errorf("%s is answered with %d, want %d", path, answer.Code, want)
		}
	}
	if answer := get(t, http.MethodPost, "/working"); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("a change of a page that has none is answered with %d", answer.Code)
	}
}
