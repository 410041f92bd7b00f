// Package registrylogin keeps a login to a registry whose password is replaced while it is in use.
//
// The manager's passwords last 15 minutes to an hour, and it writes the next one into the same Secret before the last
// one ends. A transfer may take longer than that.
package registrylogin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/dockerconfig"
)

// readAgainAfter is how long a Secret that still has the refused password is not read again. Requests that are
// refused meanwhile fail.
const readAgainAfter = 5 * time.Second

const (
	// readTimeout limits one read of a Secret. Whoever needs the password fails then, and may do without it.
	readTimeout = 10 * time.Second
	// awaitReads is how often a Secret is read by one who waits for its next password.
	awaitReads = 15 * time.Second
)

// Read returns the Docker configuration that has the login now.
type Read func(ctx context.Context) ([]byte, error)

// Login is the login to one registry. It is an authn.Authenticator that always has the newest known password. Several
// goroutines may use it.
type Login struct {
	registry string
	read     Read // nil: the password is never replaced
	clock    clock.PassiveClock
	// again is how often Await reads.
	again time.Duration

	reading sync.Mutex // one caller reads at a time
	readAt  time.Time  // reading guards it

	mu      sync.Mutex
	content []byte
	current authn.AuthConfig
	changed chan struct{} // closed when current changes
}

// New returns the login to a registry, host[:port], from a Docker configuration. read returns its replacement; nil
// means that there never is one.
func New(registry string, content []byte, read Read) (*Login, error) {
	login := &Login{
		registry: registry, read: read, clock: clock.RealClock{}, again: awaitReads, changed: make(chan struct{}),
	}
	_, err := login.take(content)
	return login, err
}

// take takes the login from a configuration, and reports whether the password is another one.
func (l *Login) take(content []byte) (changed bool, err error) {
	auth, err := dockerconfig.Authenticator(content, l.registry)
	if err != nil {
		return false, err
	}
	found, err := auth.Authorization()
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = l.current.Password != found.Password
	l.content, l.current = content, *found
	if changed {
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return changed, nil
}

// Authorization returns the user name and the newest known password.
func (l *Login) Authorization() (*authn.AuthConfig, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.current
	return &current, nil
}

// Current returns the Docker configuration with the newest known password, which callers must not change, and that
// password.
func (l *Login) Current() (content []byte, password string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content, l.current.Password
}

// Renew reads the configuration again if the newest known password is the refused one, and reports whether another one
// is known now. An empty refused always reads. A configuration that can't be read within ten seconds, or has no login,
// changes nothing. Renew asks at most once in five seconds for one password, and one caller at a time; meanwhile others
// get the password that is known.
func (l *Login) Renew(ctx context.Context, refused string) bool {
	if l.knowsOther(refused) {
		return true
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.knowsOther(refused) { // another caller has read it
		return true
	}
	if l.read == nil || refused != "" && l.clock.Since(l.readAt) < readAgainAfter {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	content, err := l.read(ctx)
	changed := false
	if err == nil {
		changed, err = l.take(content)
	}
	if err == nil && changed {
		l.readAt = time.Time{}
		return true
	}
	l.readAt = l.clock.Now()
	return false
}

// knowsOther reports whether the newest known password is another one than the refused one.
func (l *Login) knowsOther(refused string) bool {
	_, password := l.Current()
	return refused != "" && password != refused
}

// Await waits until another password than the refused one is known. It reads the configuration every 15 seconds, and
// notices at once what others have read. It returns the cause of ctx' end if that comes first.
func (l *Login) Await(ctx context.Context, refused string) error {
	ticker := time.NewTicker(l.again)
	defer ticker.Stop()
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if l.Renew(ctx, refused) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-ticker.C:
		}
	}
}

// IsRefusal reports whether a registry answers so to a password that has ended. ECR answers 403:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html
func IsRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
