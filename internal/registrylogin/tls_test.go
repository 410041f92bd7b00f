package registrylogin

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	authenticating "github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// go-containerregistry gives the password to the registry's host wherever a redirect leads there, so it must use TLS there
// whatever the redirect says.
func TestNoPasswordGoesWithoutTLS(t *testing.T) {
	for what, hops := range map[string][]string{
		"at once":                {"http://" + registry + "/2"},
		"to the port of http":    {"http://" + registry + ":80/2"},
		"by way of another host": {"http://elsewhere.example/2", "http://" + registry + "/3"},
	} {
		t.Run(what, func(t *testing.T) {
			login, _, _ := loginOf(t)
			var inClear []string
			base := roundTripper(func(request *http.Request) (*http.Response, error) {
				_, password, _ := request.BasicAuth()
				if request.URL.Scheme == "http" && password != "" {
					inClear = append(inClear, request.URL.String())
				}
				answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: request}
				switch {
				case request.URL.Path == "/v2/":
					answer.StatusCode = http.StatusUnauthorized
					answer.Header.Set("WWW-Authenticate", `Basic realm="r"`)
				case len(hops) > 0:
					answer.StatusCode = http.StatusTemporaryRedirect
					answer.Header.Set("Location", hops[0])
					hops = hops[1:]
				}
				return answer, nil
			})
			host, err := name.NewRegistry(registry)
			if err != nil {
				t.Fatal(err)
			}
			authenticated, err := authenticating.NewWithContext(t.Context(), host, login, Through(login, base), nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := (&http.Client{Transport: authenticated}).Get("https://" + registry + "/1")
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if len(hops) > 0 || len(inClear) > 0 {
				t.Errorf("the password went to %q, and %q were not reached", inClear, hops)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
