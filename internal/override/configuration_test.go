package override_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/override"
)

// configurationCases are configurations, the label of the image that was built from each, and the override; "" where
// there is none.
var configurationCases = map[string]struct {
	written, label, want string
	err                  error
}{
	"an image with nothing to say": {`{"image": "base:1"}`, ``, `{"image": "built:1"}`, nil},
	"what the label brings is left out": {
		`{"image": "base:1", "name": "n", "onCreateCommand": "make", "remoteEnv": {"A": "${localEnv:A}", "B": null}, "runArgs": ["--cap-add=X"]}`,
		`[ {"id":"./tool","onCreateCommand":"t"}, {"onCreateCommand":"make","remoteEnv":{"A":"${localEnv:A}","B":null}} ]`,
		`{"image": "built:1", "name": "n", "runArgs": ["--cap-add=X"]}`, nil,
	},
	"what only a build reads is left out": {
		`{"build": {"dockerfile": "D", "args": {"A": "1"}}, "features": {"./tool": {}}, "overrideFeatureInstallOrder": ["./tool"], "initializeCommand": "i"}`,
		`[{"id":"./tool"}]`,
		`{"image": "built:1", "initializeCommand": "i"}`, nil,
	},
	"the older names of a Dockerfile": {`{"dockerFile": "D", "context": "..", "appPort": 1}`, ``, `{"image": "built:1", "appPort": 1}`, nil},
	"comments and trailing commas": {
		"// c\n{\"image\": \"base:1\", /* c */ \"mounts\": [\"type=tmpfs,target=/a\",],}", `[{"mounts":["type=tmpfs,target=/a"]}]`, `{"image": "built:1"}`, nil,
	},
	"one entry that is not in an array": {`{"image": "base:1", "init": true}`, `{"init": true}`, `{"image": "built:1"}`, nil},
	"the entry of a CLI that knows fewer properties": {
		`{"image": "base:1", "init": true, "hostRequirements": {"cpus": 2}}`, `[{"init":true}]`, `{"image": "built:1", "hostRequirements": {"cpus": 2}}`, nil,
	},
	"older properties of customizations": {
		`{"image": "base:1", "extensions": ["a.b"], "settings": {"s": 1}, "devPort": 2}`,
		`[{"customizations":{"vscode":{"extensions":["a.b"],"settings":{"s":1},"devPort":2}}}]`, `{"image": "built:1"}`, nil,
	},
	"the host's GPUs are asked for by the configuration itself": {
		`{"image": "base:1", "hostRequirements": {"gpu": "optional", "cpus": 2}}`, `[{"hostRequirements":{"gpu":"optional","cpus":2}}]`,
		`{"image": "built:1", "hostRequirements": {"gpu": "optional"}}`, nil,
	},
	"no GPUs": {
		`{"image": "base:1", "hostRequirements": {"gpu": false, "cpus": 2}}`, `[{"hostRequirements":{"gpu":false,"cpus":2}}]`, `{"image": "built:1"}`, nil,
	},
	"properties that nobody knows stay": {`{"image": "base:1", "x": {"y": [1, 1e3, "ü\ud800"]}}`, ``, `{"image": "built:1", "x": {"y": [1, 1000, "ü\ud800"]}}`, nil},

	"no label":               {`{"image": "base:1", "init": true}`, ``, ``, override.ErrOtherLabel},
	"a label that is broken": {`{"image": "base:1", "init": true}`, `[{"init":true}`, ``, override.ErrOtherLabel},
	"another value":          {`{"image": "base:1", "onCreateCommand": "a"}`, `[{"onCreateCommand":"b"}]`, ``, override.ErrOtherLabel},
	"one value more":         {`{"image": "base:1", "init": true}`, `[{"init":true,"privileged":true}]`, ``, override.ErrOtherLabel},
	"an entry of a Feature":  {`{"image": "base:1", "init": true}`, `[{"init":true},{"id":"./tool"}]`, ``, override.ErrOtherLabel},
	"an empty entry":         {`{"image": "base:1", "init": true}`, `[{}]`, ``, override.ErrOtherLabel},
	"an entry of another kind": {
		`{"image": "base:1", "init": true}`, `["init"]`, ``, override.ErrOtherLabel,
	},
	"Docker Compose": {`{"dockerComposeFile": "c.yaml", "service": "app"}`, ``, ``, override.ErrNotRead},
}

func TestOverride(t *testing.T) {
	for name, test := range configurationCases {
		t.Run(name, func(t *testing.T) {
			configuration, err := devcontainer.Parse([]byte(test.written))
			if err != nil {
				t.Fatal(err)
			}
			got, err := override.Configuration(configuration, override.Image{Name: "built:1", Metadata: test.label})
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if test.want == "" {
				return
			}
			if diff := cmp.Diff(compact(t, []byte(test.want)), compact(t, got)); diff != "" {
				t.Errorf("override (-want +got):\n%s", diff)
			}
			again, err := devcontainer.Parse(got)
			if err != nil || again.Type != devcontainer.TypeImage || again.Image != "built:1" || len(again.Features) > 0 {
				t.Errorf("the override is read as %+v, %v", again, err)
			}
		})
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var short bytes.Buffer
	if err := json.Compact(&short, text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return short.String()
}

func TestDockerfileThatSetsTheLabel(t *testing.T) {
	const dockerfile = "FROM base:1\nLABEL devcontainer.metadata='{\"init\": true}'\n"
	for name, test := range map[string]struct {
		written string
		err     error
	}{
		"a build that keeps it":      {`{"build": {"dockerfile": "D"}}`, override.ErrOwnLabel},
		"a build that overwrites it": {`{"build": {"dockerfile": "D"}, "features": {"./tool": {}}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			configuration, err := devcontainer.Parse([]byte(test.written))
			if err != nil {
				t.Fatal(err)
			}
			configuration.DockerfileRaw = []byte(dockerfile)
			if _, err := override.Configuration(configuration, override.Image{Name: "built:1"}); !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

func TestConfigurationThatWasNotReadHasNoOverride(t *testing.T) {
	for name, configuration := range map[string]*devcontainer.Configuration{"nil": nil, "located": {Path: ".devcontainer.json"}} {
		if _, err := override.Configuration(configuration, override.Image{Name: "built:1"}); !errors.Is(err, override.ErrNotRead) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
