package runner

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CredentialSecret reads the Docker configuration in a Secret that a status names.
func CredentialSecret(ctx context.Context, c client.Reader, namespace, name string) ([]byte, error) {
	secret := &corev1.Secret{}
	err := persist(ctx, func(ctx context.Context) error {
		return c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	content := secret.Data[corev1.DockerConfigJsonKey]
	if len(content) == 0 {
		return nil, fmt.Errorf("read credentials: secret %s has no %s", name, corev1.DockerConfigJsonKey)
	}
	return content, nil
}

// Login is a user name and password for a registry.
type Login struct {
	Registry string
	Username string
	Password string
}

// Logins returns the credentials in a Docker configuration.
func Logins(config []byte) ([]Login, error) {
	var parsed struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     string `json:"auth"`
		} `json:"auths"`
	}
	// The error's text could quote the password.
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil, errors.New("read credentials: the Secret does not contain a valid Docker configuration")
	}
	var logins []Login
	for registry, entry := range parsed.Auths {
		login := Login{Registry: registry, Username: entry.Username, Password: entry.Password}
		if entry.Auth != "" {
			decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil {
				return nil, fmt.Errorf("read credentials: the entry of %s is not base64", registry)
			}
			login.Username, login.Password, _ = strings.Cut(string(decoded), ":")
		}
		logins = append(logins, login)
	}
	return logins, nil
}

// AuthenticatorFor returns the login for a registry from a Docker configuration.
func AuthenticatorFor(config []byte, registry string) (authn.Authenticator, error) {
	logins, err := Logins(config)
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
