package gate

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// opened is a dashboard with one page, and the cookie of a person who opened its address.
func opened(t *testing.T) (handler http.Handler, gate *Loopback, session *http.Cookie) {
	t.Helper()
	gate, err := NewLoopback(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321})
	if err != nil {
		t.Fatal(err)
	}
	handler = gate.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "page "+r.URL.Path)
	}))
	answer := ask(handler, http.MethodGet, gate.Address(), nil)
	if answer.Code != http.StatusSeeOther || strings.Contains(answer.Header().Get("Location"), "token") {
		t.Fatalf("the token is answered with %d, Location %q", answer.Code, answer.Header().Get("Location"))
	}
	cookies := answer.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != gate.Base {
		t.Fatalf("cookies %+v", cookies)
	}
	return handler, gate, cookies[0]
}

func ask(handler http.Handler, method, address string, header map[string]string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, address, nil)
	for name, value := range header {
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func TestOnlyTheOwnHostOriginAndCookieGetIn(t *testing.T) {
	handler, gate, session := opened(t)
	own := "http://127.0.0.1:4321"
	in := session.Name + "=" + session.Value
	for name, test := range map[string]struct {
		method string
		header map[string]string
		want   int
	}{
		"a page":                     {"GET", map[string]string{"Cookie": in}, 200},
		"opened by hand":             {"GET", map[string]string{"Cookie": in, "Sec-Fetch-Site": "none"}, 200},
		"a change":                   {"POST", map[string]string{"Cookie": in, "Origin": own, "Sec-Fetch-Site": "same-origin"}, 200},
		"localhost":                  {"GET", map[string]string{"Cookie": in, "Host": "localhost:4321"}, 200},
		"no cookie":                  {"GET", nil, 401},
		"another's cookie":           {"GET", map[string]string{"Cookie": session.Name + "=guess"}, 401},
		"a rebound name":             {"GET", map[string]string{"Cookie": in, "Host": "evil.example:4321"}, 421},
		"another port as host":       {"GET", map[string]string{"Cookie": in, "Host": "127.0.0.1:80"}, 421},
		"a link of another website":  {"GET", map[string]string{"Cookie": in, "Sec-Fetch-Site": "cross-site"}, 403},
		"another port's page":        {"GET", map[string]string{"Cookie": in, "Sec-Fetch-Site": "same-site"}, 403},
		"another origin's read":      {"GET", map[string]string{"Cookie": in, "Origin": "https://evil.example"}, 403},
		"another origin's change":    {"POST", map[string]string{"Cookie": in, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		"a change of no origin":      {"POST", map[string]string{"Cookie": in}, 403},
		"a change of origin null":    {"POST", map[string]string{"Cookie": in, "Origin": "null"}, 403},
		"a change typed as address":  {"POST", map[string]string{"Cookie": in, "Sec-Fetch-Site": "none"}, 403},
		"another port's change":      {"POST", map[string]string{"Cookie": in, "Origin": "http://127.0.0.1:9999"}, 403},
		"old browser's other origin": {"POST", map[string]string{"Cookie": in, "Origin": "http://evil.example"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			answer := ask(handler, test.method, own+gate.Base+"working", test.header)
			if answer.Code != test.want {
				t.Errorf("status %d, want %d: %s", answer.Code, test.want, answer.Body)
			}
			if test.want == 200 && answer.Body.String() != "page /working" {
				t.Errorf("body %q", answer.Body)
			}
			if !strings.Contains(answer.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("no Content-Security-Policy")
			}
		})
	}
}

func TestAWrongTokenGetsNoCookie(t *testing.T) {
	handler, _, _ := opened(t)
	answer := ask(handler, http.MethodGet, "http://127.0.0.1:4321/?token=guess", nil)
	if answer.Code != http.StatusUnauthorized || len(answer.Result().Cookies()) != 0 {
		t.Errorf("status %d, cookies %v", answer.Code, answer.Result().Cookies())
	}
}

func TestPagesAreOnlyBelowTheRandomPath(t *testing.T) {
	handler, _, session := opened(t)
	answer := ask(handler, http.MethodGet, "http://127.0.0.1:4321/working", map[string]string{"Cookie": session.Name + "=" + session.Value})
	if answer.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", answer.Code)
	}
}

// TestATicketOpensOnce: other users of the machine can read the browser's arguments.
func TestATicketOpensOnce(t *testing.T) {
	guard, err := NewLoopback(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321})
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Wrap(http.NotFoundHandler())
	older, ticket := guard.Ticket(), guard.Ticket()
	if ticket == guard.Address() {
		t.Error("the ticket is the address itself")
	}
	for _, test := range []struct {
		name, address string
		want          int
	}{
		{"an older ticket", older, 401}, {"the ticket", ticket, 303}, {"the ticket again", ticket, 401},
		{"no ticket", "http://127.0.0.1:4321/?token=", 401}, {"the address", guard.Address(), 303}, {"the address again", guard.Address(), 303},
	} {
		if answer := ask(handler, http.MethodGet, test.address, nil); answer.Code != test.want {
			t.Errorf("%s is answered with %d, want %d", test.name, answer.Code, test.want)
		}
	}
	late := guard.Ticket()
	guard.until = guard.until.Add(-2 * ticketFor)
	if answer := ask(handler, http.MethodGet, late, nil); answer.Code != http.StatusUnauthorized {
		t.Errorf("a late ticket is answered with %d", answer.Code)
	}
}
