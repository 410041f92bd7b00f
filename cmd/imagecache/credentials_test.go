package main

import (
	"strings"
	"testing"

	"imagecache.dev/internal/cli"
)

func TestRegistryHost(t *testing.T) {
	for address, want := range map[string]string{
		"registry.example":                 "registry.example",
		"registry.example:5000":            "registry.example:5000",
		"https://registry.example":         "registry.example",
		"https://registry.example:443/v2/": "registry.example:443",
	} {
		if got := registryHost(address); got != want {
			t.Errorf("host of %q is %q, want %q", address, got, want)
		}
	}
}

func TestReadRegistry(t *testing.T) {
	if got, err := readRegistry(strings.NewReader("  registry.example\n")); got != "registry.example" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := readRegistry(strings.NewReader("\n")); err == nil {
		t.Error("an empty line is no registry")
	}
}

func TestStoringIsRefused(t *testing.T) {
	code, stdout, stderr := inPipe(t, `{"ServerURL":"r","Username":"u","Secret":"s3cret"}`, "credentials", "store", "--project", "p")
	if code != cli.ExitFailed || strings.Contains(stdout+stderr, "s3cret") {
		t.Errorf("exit code %d, %q %q", code, stdout, stderr)
	}
}
