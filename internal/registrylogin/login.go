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

// Read returns the Docker configuration that has the login now.
type Read func(ctx context.Context) ([]byte, error)

// Login is the login to one registry. It is an authn.Authenticator that always has the newest known password. Several
// goroutines may use it.
type Login struct {
	registry string
	read     Read // nil: the password is never replaced
	clock    clock.PassiveClock

	mu      sync.Mutex
	content []byte
	current authn.AuthConfig
	readAt  time.Time
}

// New returns the login to a registry, host[:port], from a Docker configuration. read returns its replacement; nil
// means that there never is one.
func New(registry string, content []byte, read Read) (*Login, error) {
	login := &Login{registry: registry, read: read, clock: clock.RealClock{}}
	return login, login.take(content)
}

// take takes the login from a configuration.
func (l *Login) take(content []byte) error {
	auth, err := dockerconfig.Authenticator(content, l.registry)
	if err != nil {
		return err
	}
	found, err := auth.Authorization()
	if err != nil {
		return err
	}
	l.content, l.current = content, *found
	return nil
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
// is known now. An empty refused always reads. A configuration that can't be read, or has no login, changes nothing.
// Renew asks at most once in five seconds for one password, and one caller at a time.
func (l *Login) Renew(ctx context.Context, refused string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused != "" && l.current.Password != refused {
		return true
	}
	if l.read == nil || refused != "" && l.clock.Since(l.readAt) < readAgainAfter {
		return false
	}
	before := l.current.Password
	content, err := l.read(ctx)
	if err == nil {
		err = l.take(content)
	}
	if changed := err == nil && l.current.Password != before; changed {
		l.readAt = time.Time{}
		return true
	}
	l.readAt = l.clock.Now()
	return false
}

// IsRefusal reports whether a registry answers so to a password that has ended. ECR answers 403:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html
func IsRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
