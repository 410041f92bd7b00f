package gate

import "net/http"

// policy allows a page only its own scripts, styles and calls. Nothing inline runs, so text from a workspace that
// should ever reach a page unescaped would still not run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Headers sets what every answer says about itself.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		// Not no-referrer: browsers would then send "Origin: null" with forms.
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request that does not get in, with a sentence for a person.
func refuse(w http.ResponseWriter, status int, sentence string) {
	http.Error(w, sentence, status)
}
