package dockerconfig

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

var ours = Login{Registry: "r:5000", Username: "AWS", Password: "secret:with:colons"}

func encoded(t *testing.T, login Login) []byte {
	t.Helper()
	content, err := Encode(login)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestLoginsReadAllForms(t *testing.T) {
	for name, config := range map[string][]byte{
		"auth":     []byte(`{"auths":{"r:5000":{"auth":"QVdTOnNlY3JldDp3aXRoOmNvbG9ucw=="}}}`),
		"fields":   []byte(`{"auths":{"r:5000":{"username":"AWS","password":"secret:with:colons"}}}`),
		"our own":  encoded(t, ours),
		"both":     []byte(`{"auths":{"r:5000":{"username":"x","password":"y","auth":"QVdTOnNlY3JldDp3aXRoOmNvbG9ucw=="}}}`),
		"settings": []byte(`{"aliases":{"a":"b"},"auths":{"r:5000":{"username":"AWS","password":"secret:with:colons"}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Logins(config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Login{ours}, got); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAConfigurationThatCanNotBeReadQuotesNoPassword(t *testing.T) {
	secret := "s3cr3t"
	for name, config := range map[string]string{
		"no JSON":   `{"auths":{"r":{"password":"` + secret + `"}}`,
		"no object": `["` + secret + `"]`,
		"no base64": `{"auths":{"r":{"auth":"` + secret + `!"}}}`,
		"no colon":  `{"auths":{"r":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(secret)) + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			logins, err := Logins([]byte(config))
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("logins %v, error %v", logins, err)
			}
		})
	}
}

func TestAuthenticatorTakesTheLoginOfItsRegistry(t *testing.T) {
	found, err := Authenticator(encoded(t, ours), ours.Registry)
	if err != nil {
		t.Fatal(err)
	}
	got, err := found.Authorization()
	if err != nil || got.Username != ours.Username || got.Password != ours.Password {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Authenticator(encoded(t, ours), "other:5000"); err == nil || !strings.Contains(err.Error(), "other:5000") {
		t.Errorf("a registry without a login: error %v", err)
	}
}

func TestTheKeychainReadsItsFolder(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, fileName), encoded(t, ours), 0o600); err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string]string{ours.Registry: ours.Password, "other:5000": ""} {
		target, err := name.NewRegistry(registry)
		if err != nil {
			t.Fatal(err)
		}
		found, err := Keychain(folder).Resolve(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := found.Authorization()
		if err != nil || got.Password != want {
			t.Errorf("%s: %+v, %v", registry, got, err)
		}
		if isAnonymous := found == authn.Anonymous; isAnonymous != (want == "") {
			t.Errorf("%s: anonymous is %v", registry, isAnonymous)
		}
	}
}

func TestCurrentContextIsTheUsers(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"named":     {`{"currentContext":"colima"}`, "colima"},
		"not named": {`{}`, ""},
		"no JSON":   {`{`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("DOCKER_CONFIG", folder)
			if err := os.WriteFile(filepath.Join(folder, fileName), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := CurrentContext(); got != test.want {
				t.Errorf("context %q, want %q", got, test.want)
			}
		})
	}
}
