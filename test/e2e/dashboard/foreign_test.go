package dashboard

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"imagecache.dev/test/browser"
)

// TestAnotherWebsiteReachesNothing: a page of another origin, with the person's cookie in the same browser, can neither read,
// nor change, nor frame; and a name that leads here (DNS rebinding) gets nothing.
func TestAnotherWebsiteReachesNothing(t *testing.T) {
	page := administrator(t, browser.Look{})
	open(page, "On and off")
	page.Wait("#rows tbody tr")
	own, err := url.Parse(page.Address())
	if err != nil {
		t.Fatal(err)
	}
	toggle := own.JoinPath(namespace, "demo").String()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<title>evil</title><form id="f" method="post" action=%q><input name="value" value="Disabled"></form>
			<iframe id="i" src=%q></iframe>`, toggle, own)
	}))
	t.Cleanup(evil.Close)
	foreign, err := url.Parse(evil.URL)
	if err != nil {
		t.Fatal(err)
	}
	// localhost is another site than 127.0.0.1 for cookies, and evil.URL is the same site at another port: the harder case.
	for _, host := range []string{foreign.Host, "localhost:" + foreign.Port()} {
		page.Goto("http://" + host)
		var read string
		page.Evaluate(&read, `fetch("`+own.String()+`", {credentials: "include"}).then((a) => "read " + a.status, () => "failed")`)
		if read != "failed" {
			t.Errorf("%s can read: %s", host, read)
		}
		var sent string
		page.Evaluate(&sent, `fetch("`+toggle+`", {method: "POST", mode: "no-cors", credentials: "include",
			headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "value=Disabled"}).then((a) => a.type, () => "failed")`)
		page.Evaluate(nil, `document.getElementById("f").submit()`)
		page.Wait(`text=Another website caused this request`)
	}
	if mode := kubectl(t, "get", "ric", "demo", "-o", "jsonpath={.spec.cache}"); mode != "Enabled" {
		t.Errorf("another website switched the cache: %s", mode)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, own.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "rebound.example:" + own.Port()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusMisdirectedRequest || strings.Contains(string(text), "demo") {
		t.Errorf("a foreign host is answered with %s: %s (%v)", answer.Status, text, err)
	}
}
