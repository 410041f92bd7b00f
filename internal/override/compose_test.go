package override_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/override"
)

func TestServicesGetTheirImagesAndLoseTheirBuilds(t *testing.T) {
	const want = `services:
  "app":
    image: "imagecache.local/web:0123456789ab"
    build: !reset null
    pull_policy: never
  "w.o-r_k":
    image: "a$$b\"c"
    build: !reset null
    pull_policy: never
`
	got := override.ComposeImages([]override.Service{
		{Name: "app", Image: "imagecache.local/web:0123456789ab"}, {Name: "w.o-r_k", Image: `a$b"c`},
	})
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Compose file (-want +got):\n%s", diff)
	}
}

func TestImagesOfServicesGetNames(t *testing.T) {
	const want = "services:\n  \"a\":\n    image: \"one:1\"\n  \"b\":\n    image: \"two:2\"\n"
	got := override.ComposeNames(map[string]string{"b": "two:2", "a": "one:1"})
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Compose file (-want +got):\n%s", diff)
	}
}

// composeCases are configurations, the label of the dev container's image, and the override; "" where there is none.
var composeCases = map[string]struct {
	written, service, label, want string
	err                           error
}{
	"one file": {
		`{"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/w", "name": "n"}`, ``, ``,
		`{"dockerComposeFile": ["compose.yml", "/state/extra.yml"], "service": "app", "workspaceFolder": "/w", "name": "n"}`, nil,
	},
	"files with variables stay as they are written": {
		`{"dockerComposeFile": ["../a.yml", "${localWorkspaceFolder}/b.yml"], "service": "app", "runServices": ["app", "db"]}`, ``, ``,
		`{"dockerComposeFile": ["../a.yml", "${localWorkspaceFolder}/b.yml", "/state/extra.yml"], "service": "app", "runServices": ["app", "db"]}`, nil,
	},
	"no file": {
		`{"dockerComposeFile": [], "service": "app"}`, ``, ``,
		`{"dockerComposeFile": ["/w/docker-compose.yml", "/w/docker-compose.override.yml", "/state/extra.yml"], "service": "app"}`, nil,
	},
	"Features and what the label brings are left out": {
		`{"service": "app", "features": {"./tool": {}}, "postCreateCommand": "make", "dockerComposeFile": "c.yml", "initializeCommand": "i"}`,
		``, `[{"id":"./tool","onCreateCommand":"t"},{"postCreateCommand":"make"}]`,
		`{"dockerComposeFile": ["c.yml", "/state/extra.yml"], "service": "app", "initializeCommand": "i"}`, nil,
	},
	"another label": {
		`{"dockerComposeFile": "c.yml", "service": "app", "postCreateCommand": "make"}`, ``, `[{"postCreateCommand":"other"}]`, ``,
		override.ErrOtherLabel,
	},
	"a service whose Dockerfile sets the label": {
		`{"dockerComposeFile": "c.yml", "service": "app"}`, "FROM b\nLABEL devcontainer.metadata='{}'\n", ``, ``, override.ErrOwnLabel,
	},
	"an image": {`{"image": "b"}`, ``, ``, ``, override.ErrNotRead},
}

func TestOverrideOfDockerCompose(t *testing.T) {
	for name, test := range composeCases {
		t.Run(name, func(t *testing.T) {
			configuration, err := devcontainer.Parse([]byte(test.written))
			if err != nil {
				t.Fatal(err)
			}
			service := *configuration
			service.DockerfileRaw = []byte(test.service)
			got, err := override.Compose(
				configuration, &service, override.Image{Name: "built:1", Metadata: test.label},
				[]string{"/w/docker-compose.yml", "/w/docker-compose.override.yml"}, "/state/extra.yml",
			)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if test.want == "" {
				return
			}
			if diff := cmp.Diff(compact(t, []byte(test.want)), compact(t, got)); diff != "" {
				t.Errorf("override (-want +got):\n%s", diff)
			}
		})
	}
}
