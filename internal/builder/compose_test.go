package builder

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestServiceIsBuiltUnderItsOwnName(t *testing.T) {
	service := &ComposeService{Name: "worker", Project: "shop", Files: []string{"/w/a.yml", "/w/b.yml"}}
	for name, test := range map[string]struct {
		noCache bool
		env     string
		want    string
	}{
		"usually":            {false, "", "compose --project-name shop --file /w/a.yml --file /w/b.yml --file /t/image.yml build worker"},
		"every step anew":    {true, "", "compose --project-name shop --file /w/a.yml --file /w/b.yml --file /t/image.yml build --no-cache worker"},
		"with its variables": {false, "/w/.env", "compose --project-name shop --file /w/a.yml --file /w/b.yml --file /t/image.yml --env-file /w/.env build worker"},
	} {
		service.EnvFile = test.env
		got := strings.Join(serviceArguments(Request{NoCache: test.noCache, Compose: service}, "/t/image.yml"), " ")
		if got != test.want {
			t.Errorf("%s: docker %s, want %s", name, got, test.want)
		}
	}
}

func TestBuildOfServicesKeepsTheDefaultPlatform(t *testing.T) {
	if got := withheld(Request{Compose: &ComposeService{}}); slices.Contains(got, defaultPlatform) || !slices.Contains(got, "SOURCE_DATE_EPOCH") {
		t.Errorf("withheld: %q", got)
	}
	if !slices.Contains(withheld(Request{}), defaultPlatform) {
		t.Error("a build without Docker Compose gets the default platform, which no key holds")
	}
}

// scriptEngine is docker as a shell script.
func scriptEngine(t *testing.T, script string) *program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &program{name: Docker, path: path, server: "28.5.2"}
}

func TestEngineThatCannotStartServicesIsRefused(t *testing.T) {
	const versions = `case "$1 $2" in "buildx version") exit 0;; "compose version") echo VERSION; exit 0;; esac; exit 1`
	with := func(version string) string { return strings.ReplaceAll(versions, "VERSION", version) }
	tests := map[string]struct {
		script, server, name, platform string
		want                           string // of the error; "" for none
	}{
		"a new one":               {script: with("2.40.3")},
		"the first one":           {script: with("2.24.0")},
		"another major version":   {script: with("v5.0.1")},
		"a name and no version":   {script: with("dev")},
		"the machine's platform":  {script: with("2.40.3"), platform: "linux/" + runtime.GOARCH},
		"an older Docker Compose": {script: with("2.23.3"), want: "Docker Compose 2.23.3 can't start services with other images: update it to 2.24 or later"},
		"version 1":               {script: with("1.29.2"), want: "Docker Compose 1.29.2 can't start"},
		"no Docker Compose":       {script: `[ "$1" = buildx ]`, want: "docker has no Compose plugin: install Docker Compose 2.24 or later"},
		"no buildx":               {script: `[ "$1" = compose ]`, want: "with docker 23 or later and buildx"},
		"an older Docker":         {script: with("2.40.3"), server: "20.10.24", want: "with docker 23 or later and buildx"},
		"podman":                  {script: with("2.40.3"), name: Podman, want: "cached with docker, not with podman"},
		"another platform":        {script: with("2.40.3"), platform: "linux/s390x", want: "here, not for linux/s390x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			engine := scriptEngine(t, test.script)
			if test.server != "" {
				engine.server = test.server
			}
			if test.name != "" {
				engine.name = test.name
			}
			err := engine.ComposeReady(t.Context(), test.platform)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (!errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
