package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/dashboard/access"
)

// named is a viewer who has a name and nothing else.
type named struct {
	access.Viewer
	name string
}

// asking is a dashboard in the cluster that knows one token.
func asking(t *testing.T) http.Handler {
	t.Helper()
	callers := NewCallers(func(_ context.Context, token string) (access.Viewer, error) {
		if token != "good" {
			return nil, access.ErrNotAuthenticated
		}
		return named{name: "ann"}, nil
	}, func(w http.ResponseWriter, _ *http.Request, problem string) {
		http.Error(w, "login "+problem, http.StatusUnauthorized)
	})
	return callers.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "for "+ViewerOf(r.Context()).(named).name)
	}))
}

func TestOnlyATokenThatTheClusterAcceptsGetsIn(t *testing.T) {
	handler := asking(t)
	for header, want := range map[string]int{"": 401, "Bearer good": 200, "Bearer bad": 401, "Basic good": 401} {
		answer := ask(handler, http.MethodGet, "https://dashboard.example/working", map[string]string{"Authorization": header})
		if answer.Code != want {
			t.Errorf("%q is answered with %d, want %d", header, answer.Code, want)
		}
	}
	crossed := ask(handler, http.MethodPost, "https://dashboard.example/toggle", map[string]string{
		"Authorization": "Bearer good", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site",
	})
	if crossed.Code != http.StatusForbidden {
		t.Errorf("another website's change is answered with %d", crossed.Code)
	}
}

func TestASessionKeepsTheTokenFromTheBrowser(t *testing.T) {
	handler := asking(t)
	send := func(path, token, cookie string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, "https://dashboard.example"+path, strings.NewReader(url.Values{"token": {token}}.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "https://dashboard.example")
		request.Header.Set("Cookie", cookie)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer
	}
	if bad := send("/login", "bad", ""); bad.Code != 401 || len(bad.Result().Cookies()) != 0 {
		t.Errorf("a bad token is answered with %d", bad.Code)
	}
	good := send("/login", "good", "")
	cookies := good.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure || strings.Contains(cookies[0].Value, "good") {
		t.Fatalf("cookies %+v", cookies)
	}
	session := cookies[0].Name + "=" + cookies[0].Value
	in := map[string]string{"Cookie": session}
	if answer := ask(handler, http.MethodGet, "https://dashboard.example/", in); answer.Body.String() != "for ann" {
		t.Errorf("the session is answered with %d %s", answer.Code, answer.Body)
	}
	send("/logout", "", session)
	if answer := ask(handler, http.MethodGet, "https://dashboard.example/", in); answer.Code != 401 {
		t.Errorf("after the end of the session the answer is %d", answer.Code)
	}
}

// TestALinkOpensAPageAndNothingElse: a login's redirect and a link in a wiki come from another website.
func TestALinkOpensAPageAndNothingElse(t *testing.T) {
	handler := asking(t)
	for name, test := range map[string]struct {
		method, mode, dest string
		want               int
	}{
		"a link":       {"GET", "navigate", "document", 200},
		"a frame":      {"GET", "navigate", "iframe", 403},
		"a form":       {"POST", "navigate", "document", 403},
		"a script":     {"GET", "no-cors", "script", 403},
		"a fetch":      {"GET", "cors", "empty", 403},
		"old browsers": {"GET", "", "", 403},
	} {
		answer := ask(handler, test.method, "https://dashboard.example/working", map[string]string{
			"Authorization": "Bearer good", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": test.mode, "Sec-Fetch-Dest": test.dest,
		})
		if answer.Code != test.want {
			t.Errorf("%s is answered with %d, want %d", name, answer.Code, test.want)
		}
	}
}

// TestASessionEndsWithItsToken: what the cluster refuses once is not kept; a cluster that does not answer ends nothing.
func TestASessionEndsWithItsToken(t *testing.T) {
	var problem error
	callers := NewCallers(func(context.Context, string) (access.Viewer, error) {
		return named{name: "ann"}, problem
	}, func(w http.ResponseWriter, _ *http.Request, problem string) {
		http.Error(w, problem, http.StatusUnauthorized)
	})
	callers.sessions["one"] = session{"token", time.Now().Add(time.Hour)}
	handler := callers.Wrap(http.NotFoundHandler())
	for _, test := range []struct {
		problem    error
		want, kept int
	}{
		{nil, 404, 1}, {errors.New("no answer"), 502, 1}, {access.ErrNotAuthenticated, 401, 0},
	} {
		problem = test.problem
		answer := ask(handler, http.MethodGet, "https://dashboard.example/", map[string]string{"Cookie": callerCookie + "=one"})
		if answer.Code != test.want || len(callers.sessions) != test.kept {
			t.Errorf("%v is answered with %d, and %d sessions are kept", test.problem, answer.Code, len(callers.sessions))
		}
	}
}
