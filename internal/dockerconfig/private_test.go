package dockerconfig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOurCredentialsWinOverTheUsers(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, "docker"))
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "auth.json"))
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(home, "docker", "config.json"), `{
		"auths": {"ours.example": {"auth": "dXNlcjp1c2Vy"}, "private.example": {"auth": "YTpi"}},
		"credHelpers": {"ours.example": "users-own", "other.example": "pass"},
		"credsStore": "desktop", "currentContext": "colima", "plugins": {"x": {"y": "z"}}, "cliPluginsExtraDirs": ["/p"]}`)
	others := []string{"contexts/meta/c", "ca.pem", "cert.pem", "key.pem", "cli-plugins/docker-buildx", "buildx/instances/b"}
	for _, other := range others {
		write(filepath.Join(home, "docker", other), "content")
	}
	write(filepath.Join(home, "auth.json"), `{"auths": {"podman.example": {"auth": "Yzpk"}}}`)
	ours := []byte(`{"auths": {"ours.example": {"auth": "b3VyczpvdXJz"}}}`)

	auths := map[string]json.RawMessage{
		"ours.example":    json.RawMessage(`{"auth":"b3VyczpvdXJz"}`),
		"private.example": json.RawMessage(`{"auth":"YTpi"}`),
		"podman.example":  json.RawMessage(`{"auth":"Yzpk"}`),
	}
	tests := map[string]struct {
		forDocker bool
		want      file
	}{
		"docker is told not to ask the store for ours": {true, file{
			Auths: auths, CredsStore: "desktop", CurrentContext: "colima", CredHelpers: map[string]string{"other.example": "pass", "ours.example": ""}}},
		"podman": {false, file{
			Auths: auths, CredsStore: "desktop", CurrentContext: "colima", CredHelpers: map[string]string{"other.example": "pass"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder, err := Private(ours, test.forDocker)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = folder.Remove() }()
			got, err := read(filepath.Join(folder.Path, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			info, err := os.Stat(folder.Path)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the folder has mode %v (%v), want 0700", info.Mode().Perm(), err)
			}
			content, err := os.ReadFile(filepath.Join(folder.Path, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			for _, setting := range []string{`"plugins":{"x":{"y":"z"}}`, `"cliPluginsExtraDirs":["/p"]`} {
				if !strings.Contains(string(content), setting) {
					t.Errorf("the configuration lacks %s", setting)
				}
			}
			for _, other := range others {
				if _, err := os.Stat(filepath.Join(folder.Path, other)); err != nil {
					t.Errorf("docker would not find the user's %s: %v", other, err)
				}
			}
			if err := folder.Remove(); err != nil {
				t.Fatal(err)
			}
			for _, other := range others {
				if _, err := os.Stat(filepath.Join(home, "docker", other)); err != nil {
					t.Errorf("removing the private configuration removed the user's %s: %v", other, err)
				}
			}
		})
	}
}

func TestCredentialFiles(t *testing.T) {
	tests := map[string]struct {
		environment map[string]string
		want        []string
	}{
		"nothing set":    {nil, []string{"/home/u/.docker/config.json"}},
		"docker":         {map[string]string{"DOCKER_CONFIG": "/d"}, []string{"/d/config.json"}},
		"podman":         {map[string]string{"REGISTRY_AUTH_FILE": "/a", "XDG_RUNTIME_DIR": "/run"}, []string{"/home/u/.docker/config.json", "/a"}},
		"podman's usual": {map[string]string{"XDG_RUNTIME_DIR": "/run"}, []string{"/home/u/.docker/config.json", "/run/containers/auth.json"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := credentialFiles(func(name string) string { return test.environment[name] }, "/home/u")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAbsentConfigurationsAreEmpty(t *testing.T) {
	got, err := read(filepath.Join(t.TempDir(), "config.json"))
	if err != nil || got.Auths != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
