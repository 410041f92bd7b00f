package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSentencesAboutOnesOwnWorkspace(t *testing.T) {
	tests := map[string]struct {
		code int
		said string
		want string
	}{
		"no base image": {1, "imagecache: build dev container: pull mcr.example/base:1: no such host", "your workspace /w can't be built here, because the image mcr.example/base:1 can't be pulled: look at this machine's network and registry login, then run it again; the line above has the reason"},
		"a broken step": {1, "noise\nimagecache: build dev container: RUN make: exit status 2", "your workspace /w can't be built here: RUN make: exit status 2"},
		"not published": {exitBuilt, "", "your workspace /w was built and is not shared; the line with ! above says why"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (&workspaceError{"/w", test.code, test.said}).Error(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestUsersRegistriesWin(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(strings.TrimSuffix(registriesVariable, "="), "")
	ours := []string{"CONTAINERS_CONF=a", registriesVariable + "b"}
	file := filepath.Join(home, ".config", "containers", "registries.conf")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	for content, wins := range map[string]bool{"# a comment\n\n": false, "# one\nunqualified-search-registries = [\"r.example\"]\n": true} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if hasSettings("/etc/containers/registries.conf") {
			t.Skip("this machine has settings of its own")
		}
		if got := withUsersRegistries(slices.Clone(ours)); (len(got) == 1) != wins {
			t.Errorf("with %q podman gets %q", content, got)
		}
	}
}
