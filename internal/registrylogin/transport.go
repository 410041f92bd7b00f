package registrylogin

import (
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Through returns base with one more try for each request that the registry refuses the password of auth, if auth is a
// Login: with the password that replaced it. A request whose body can't be sent again is not repeated, but the next one
// has the new password. Requests to where a registry redirects pass: they have none of its passwords, and get none.
//
// It belongs below what adds the password: below the transports of go-containerregistry.
func Through(auth authn.Authenticator, base http.RoundTripper) http.RoundTripper {
	if login, ok := auth.(*Login); ok {
		return &transport{login: login, base: base}
	}
	return base
}

type transport struct {
	login *Login
	base  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	_, password, isOurs := request.BasicAuth()
	// Where a registry redirects, the address may have a login of its own.
	isOurs = isOurs && IsAt(t.login.registry, request.URL)
	answer, err := t.base.RoundTrip(request)
	if err != nil || !isOurs || !IsRefusal(answer.StatusCode) || !t.login.Renew(request.Context(), password) {
		return answer, err
	}
	again, can := repeat(request)
	if !can {
		return answer, nil
	}
	renewed, err := t.login.Authorization()
	if err != nil {
		return answer, nil //nolint:nilerr // the registry's refusal says more
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10) // so that the connection is used again
	_ = answer.Body.Close()
	again.SetBasicAuth(renewed.Username, renewed.Password)
	return t.base.RoundTrip(again)
}

// repeat returns a copy of a request to be sent again, if its body allows that.
func repeat(request *http.Request) (*http.Request, bool) {
	again := request.Clone(request.Context())
	if request.Body == nil || request.Body == http.NoBody {
		return again, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, false
	}
	again.Body = body
	return again, true
}
