package gate

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// cookie is the name of the cookie that stands for the token.
const cookie = "imagecache-dashboard"

// Loopback lets in whoever has the token in the address that the command printed. The token is exchanged for a cookie.
//
// Browsers send a cookie to every port of a host. So the cookie is bound to a random path, which the pages are below
// and no other program knows.
type Loopback struct {
	token, session string
	// Base is the path of all pages, with a slash at its end.
	Base string
	port string

	mu     sync.Mutex
	ticket string // "" when it was used
	until  time.Time
}

// ticketFor is how long a ticket may be used: as long as a slow browser takes to start.
const ticketFor = time.Minute

// NewLoopback makes the token and the path of a dashboard that listens on an address of loopback.
func NewLoopback(address net.Addr) (*Loopback, error) {
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	// 130 bits each: https://pkg.go.dev/crypto/rand#Text
	return &Loopback{token: rand.Text(), session: rand.Text(), Base: "/" + rand.Text() + "/", port: port}, nil
}

// Address is what a person opens. It holds the token: whoever has it may do what the person may do.
func (l *Loopback) Address() string {
	return "http://127.0.0.1:" + l.port + "/?token=" + l.token
}

// Ticket returns an address that opens the dashboard once, within a minute. It is for the browser's command line, which
// other users of the machine can read. An earlier ticket ends.
func (l *Loopback) Ticket() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticket, l.until = rand.Text(), time.Now().Add(ticketFor)
	return "http://127.0.0.1:" + l.port + "/?token=" + l.ticket
}

// takes reports whether a token is the dashboard's, or its ticket, which it ends.
func (l *Loopback) takes(token string) bool {
	if equal(token, l.token) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ticket == "" || time.Now().After(l.until) || !equal(token, l.ticket) {
		return false
	}
	l.ticket = ""
	return true
}

// Wrap returns a handler that passes on requests for this host with the cookie, with their path below Base.
func (l *Loopback) Wrap(next http.Handler) http.Handler {
	pages := http.StripPrefix(l.Base[:len(l.Base)-1], next)
	return Headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "127.0.0.1:"+l.port && r.Host != "localhost:"+l.port {
			refuse(w, http.StatusMisdirectedRequest, "The dashboard answers only to 127.0.0.1:"+l.port+".")
			return
		}
		SameOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" && r.URL.Query().Has("token") {
				l.exchange(w, r)
				return
			}
			if !l.isIn(r) {
				refuse(w, http.StatusUnauthorized, "Open the whole address that imagecache dashboard printed, with its token.")
				return
			}
			pages.ServeHTTP(w, r)
		})).ServeHTTP(w, r)
	}))
}

// exchange sets the cookie for the right token, and leads to an address without it.
func (l *Loopback) exchange(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !l.takes(r.URL.Query().Get("token")) {
		refuse(w, http.StatusUnauthorized, "This token is not that of the running dashboard, or was used: the one "+
			"that a browser is started with opens it once. Open the address that imagecache dashboard printed.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: l.session, Path: l.Base, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, l.Base, http.StatusSeeOther)
}

func (l *Loopback) isIn(r *http.Request) bool {
	sent, err := r.Cookie(cookie)
	return err == nil && equal(sent.Value, l.session)
}

// equal compares secrets in a time that does not tell where they differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
