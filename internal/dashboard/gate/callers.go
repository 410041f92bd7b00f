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
	loginFor    = 10 * time.Second // to send the form
)

// callerCookie is the name of the cookie with the name of a session. Browsers take a cookie with this prefix only over
// TLS and from this very host, so that no other service of a parent domain can put somebody else's session in.
const callerCookie = "__Host-imagecache-dashboard"

const unchecked = "The cluster can't check the token now. Try again in a moment."

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
	return Headers(SameOriginOrLink(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
			c.forget(r)
			c.login(w, r, "The cluster does not accept the token, or does not any more.")
		case err != nil:
			refuse(w, http.StatusBadGateway, unchecked)
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
	sent, err := r.Cookie(callerCookie)
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
	// Anybody may send this form, so a slow sender does not hold its connection open for long.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(loginFor))
	r.Body = http.MaxBytesReader(w, r.Body, maxToken)
	token := strings.TrimSpace(r.PostFormValue("token"))
	if token == "" {
		c.login(w, r, "Give a token.")
		return
	}
	switch _, err := c.authenticate(r.Context(), token); {
	case errors.Is(err, access.ErrNotAuthenticated):
		c.login(w, r, "The cluster does not accept this token.")
		return
	case err != nil:
		c.login(w, r, unchecked)
		return
	}
	name := rand.Text()
	c.mu.Lock()
	c.makeRoom()
	c.sessions[name] = session{token, time.Now().Add(sessionFor)}
	c.mu.Unlock()
	setSession(w, name, 0)
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
	c.forget(r)
	setSession(w, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// forget ends the session of a request, if it has one.
func (c *Callers) forget(r *http.Request) {
	if sent, err := r.Cookie(callerCookie); err == nil {
		c.mu.Lock()
		delete(c.sessions, sent.Value)
		c.mu.Unlock()
	}
}

func setSession(w http.ResponseWriter, name string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: callerCookie, Value: name, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	})
}
