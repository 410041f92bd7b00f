package builder

import (
	"slices"
	"testing"

	"imagecache.dev/internal/devcontainer"
)

// Layers are taken over by BuildKit alone, and never by a build that makes every step anew.
func TestOnlyABuildThatMayTakesLayersOver(t *testing.T) {
	const from = "127.0.0.1:5000/project@sha256:4f3c"
	p := &program{name: Docker, path: "docker"}
	configuration := &devcontainer.Configuration{Workspace: "/w", Path: ".devcontainer.json", Type: devcontainer.TypeImage, Image: "base"}
	for name, test := range map[string]struct {
		request  Request
		buildKit bool
		want     []string
	}{
		"BuildKit":           {Request{LayersFrom: from}, true, []string{"--cache-from", from}},
		"nothing to take":    {Request{}, true, nil},
		"every step anew":    {Request{LayersFrom: from, NoCache: true}, true, []string{"--no-cache"}},
		"no BuildKit":        {Request{LayersFrom: from}, false, nil},
		"anew, no BuildKit":  {Request{LayersFrom: from, NoCache: true}, false, []string{"--no-cache"}},
		"of Docker Compose":  {Request{LayersFrom: from, Compose: &ComposeService{}}, true, nil},
		"anew, with Compose": {Request{LayersFrom: from, NoCache: true, Compose: &ComposeService{}}, true, []string{"--no-cache"}},
	} {
		arguments := p.arguments(configuration, test.request, test.buildKit, false)
		var got []string
		for n, argument := range arguments {
			if argument == "--no-cache" {
				got = append(got, argument)
			}
			if argument == "--cache-from" {
				got = append(got, arguments[n:n+2]...)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
