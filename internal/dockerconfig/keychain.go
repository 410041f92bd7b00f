package dockerconfig

import (
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// keychain reads the credentials of one folder, as authn.DefaultKeychain reads those of the user's.
type keychain string

// Keychain returns the credentials of the configuration in a folder, or with "" the user's own.
func Keychain(folder string) authn.Keychain {
	if folder == "" {
		return authn.DefaultKeychain
	}
	return keychain(folder)
}

func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	loaded, err := config.Load(string(k))
	if err != nil {
		return nil, err
	}
	// Docker Hub goes by its old address: https://docs.docker.com/reference/cli/docker/login/
	key := target.RegistryStr()
	if key == name.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	found, err := loaded.GetAuthConfig(key)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(found.Username+found.Password+found.Auth+found.IdentityToken+found.RegistryToken) == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}
