package gate

import (
	"net/http"
	"net/url"
)

// SameOriginOrLink is SameOrigin, but lets a link of another website, or the redirect of a login, open a page. What it
// opens is its own window, which that website can't read, and pages that are opened change nothing.
func SameOriginOrLink(next http.Handler) http.Handler {
	strict := SameOrigin(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
			r.Header.Get("Sec-Fetch-Dest") == "document" {
			next.ServeHTTP(w, r)
			return
		}
		strict.ServeHTTP(w, r)
	})
}

// SameOrigin refuses requests that a page of another website caused, and changes whose origin is not known.
func SameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isSameOrigin(r) {
			refuse(w, http.StatusForbidden, "Another website caused this request. Open the dashboard's own address.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isSameOrigin reports whether a request comes from the dashboard's own pages, or is a page that a person opened.
// Browsers send Sec-Fetch-Site with every request to loopback and over TLS, and Origin with every change; pages can't
// set either.
func isSameOrigin(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	site := r.Header.Get("Sec-Fetch-Site")
	switch site {
	case "", "same-origin":
	case "none":
		if !reads {
			return false
		}
	default: // cross-site, and same-site: another port of this host
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return reads || site == "same-origin"
	}
	from, err := url.Parse(origin)
	return err == nil && from.Host == r.Host && from.Host != ""
}
