package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"imagecache.dev/internal/dashboard/access"
)

// Bounds of the sessions of people who gave their token on the page.
const (
	sessionFor  = 8 * time.Hour
	maxSessions = 1000
	maxToken    = 16 << 10
)

// Callers lets in requests with a token that the cluster accepts: as Authorization: Bearer, as a proxy sends it, or by
// the session of a person who gave it on the page.
type Callers struct {
	authenticate func(ctx context.Context, token string) (access.Viewer, error)
	// login is the page that asks for a token. problem is empty at first.
	login func(w http.ResponseWriter, r *http.Request, problem string)

	mu       sync.Mutex
	sessions map[string]session
}

type session struct {
	token string
	until time.Time
}

// NewCallers returns the gate of a dashboard in the cluster.
func NewCallers(
	authenticate func(ctx context.Context, token string) (access.Viewer, error),
	login func(w http.ResponseWriter, r *http.Request, problem string),
) *Callers {
	return &Callers{authenticate: authenticate, login: login, sessions: map[string]session{}}
}

// Wrap returns a handler that passes on the requests of authenticated callers.
func (c *Callers) Wrap(next http.Handler) http.Handler {
	return Headers(SameOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/asset/"): // the login page's own
			next.ServeHTTP(w, r)
			return
		case r.URL.Path == "/login" && r.Method == http.MethodPost:
			c.open(w, r)
			return
		case r.URL.Path == "/logout" && r.Method == http.MethodPost:
			c.close(w, r)
			return
		}
		token := c.tokenOf(r)
		if token == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			c.login(w, r, "")
			return
		}
		viewer, err := c.authenticate(r.Context(), token)
		switch {
		case errors.Is(err, access.ErrNotAuthenticated):
			c.login(w, r, "The cluster does not accept the token, or does not any more.")
		case err != nil:
			refuse(w, http.StatusBadGateway, "The cluster can't check the token now. Try again in a moment.")
		default:
			next.ServeHTTP(w, r.WithContext(WithViewer(r.Context(), viewer)))
		}
	})))
}

// tokenOf returns the token of a request, or "".
func (c *Callers) tokenOf(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	sent, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.sessions[sent.Value]
	if !ok || time.Now().After(found.until) {
		delete(c.sessions, sent.Value)
		return ""
	}
	return found.token
}

// open begins a session with the token of the login page. The browser keeps only the session's name.
func (c *Callers) open(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxToken)
	token := strings.TrimSpace(r.PostFormValue("token"))
	if token == "" {
		c.login(w, r, "Give a token.")
		return
	}
	if _, err := c.authenticate(r.Context(), token); err != nil {
		c.login(w, r, "The cluster does not accept this token.")
		return
	}
	name := rand.Text()
	c.mu.Lock()
	c.makeRoom()
	c.sessions[name] = session{token, time.Now().Add(sessionFor)}
	c.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// makeRoom removes sessions that ended, or any one if all are open. c.mu is held.
func (c *Callers) makeRoom() {
	if len(c.sessions) < maxSessions {
		return
	}
	oldest := ""
	for name, found := range c.sessions {
		if time.Now().After(found.until) {
			delete(c.sessions, name)
		} else if oldest == "" || found.until.Before(c.sessions[oldest].until) {
			oldest = name
		}
	}
	if len(c.sessions) >= maxSessions {
		delete(c.sessions, oldest)
	}
}

func (c *Callers) close(w http.ResponseWriter, r *http.Request) {
	if sent, err := r.Cookie(cookie); err == nil {
		c.mu.Lock()
		delete(c.sessions, sent.Value)
		c.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
