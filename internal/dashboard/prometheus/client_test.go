package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)

func TestDaysComeFromTheirOwnIncrease(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query().Get("query")
		if !strings.Contains(query, `runner_namespace=~"a\\.b|c",`) {
			_, _ = fmt.Fprintf(w, `{"status":"error","error":"it selects no runner: %s"}`, strings.ReplaceAll(query, `"`, "'"))
			return
		}
		if !strings.Contains(query, "saved_seconds") {
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"result":[]}}`)
			return
		}
		if r.URL.Path == "/api/v1/query" {
			if !strings.Contains(query, "[43200s]") { // since midnight
				t.Errorf("today is asked by %s", query)
			}
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"result":[{"value":[1767441600,"7"]}]}}`)
			return
		}
		// At the end of yesterday, which is the beginning of today.
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"result":[{"values":[[%d,"59.6"]]}]}}`, noon.Truncate(24*time.Hour).Unix())
	}))
	t.Cleanup(server.Close)
	client, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	days, err := client.Days(t.Context(), 3, []string{"a.b", "c"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if days[0].SavedSeconds != 0 || days[1].SavedSeconds != 60 || days[2].SavedSeconds != 7 || days[2].StoredBytes != nil {
		t.Errorf("days %+v", days)
	}
	if _, err := client.Days(t.Context(), 1, nil, noon); err == nil || !strings.Contains(err.Error(), "it refuses the query") {
		t.Errorf("a query that it refuses: %v", err)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, address := range []string{"prometheus:9090", "ftp://host", "http://", "://"} {
		if _, err := New(address); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

func TestAnErrorHoldsNoPassword(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := strings.Replace(server.URL, "http://", "http://me:secret@", 1)
	server.Close()
	client, err := New(address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Days(t.Context(), 1, nil, noon)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}
