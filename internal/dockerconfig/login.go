// Package dockerconfig reads and writes Docker's configuration files, which hold credentials for registries:
// https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties
//
//	Logins, Authenticator  the credentials in a Secret of the manager
//	Encode                 a configuration with one login
//	Private                the user's configuration with our credentials, in a folder of its own
//	Keychain               the credentials of a folder, from its file and its helpers
package dockerconfig

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
)

// Login is a user name and password for a registry.
type Login struct {
	Registry string
	Username string
	Password string
}

// Logins returns the credentials in a Docker configuration, sorted by registry.
func Logins(content []byte) ([]Login, error) {
	parsed, err := config.LoadFromReader(bytes.NewReader(content))
	if err != nil {
		// The error's text could quote the password.
		return nil, errors.New("read credentials: the Secret does not contain a valid Docker configuration")
	}
	var logins []Login
	for registry, entry := range parsed.AuthConfigs {
		logins = append(logins, Login{Registry: registry, Username: entry.Username, Password: entry.Password})
	}
	slices.SortFunc(logins, func(a, b Login) int { return cmp.Compare(a.Registry, b.Registry) })
	return logins, nil
}

// Authenticator returns the login for a registry from a Docker configuration.
func Authenticator(content []byte, registry string) (authn.Authenticator, error) {
	logins, err := Logins(content)
	if err != nil {
		return nil, err
	}
	for _, login := range logins {
		if login.Registry == registry {
			return authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}), nil
		}
	}
	return nil, fmt.Errorf("read credentials: the Secret has no credentials for %s", registry)
}

// Encode returns a Docker configuration with one login.
func Encode(login Login) ([]byte, error) {
	auth := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
	return json.Marshal(map[string]any{"auths": map[string]any{login.Registry: map[string]string{"auth": auth}}})
}
