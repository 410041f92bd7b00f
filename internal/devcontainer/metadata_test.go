package devcontainer

import "testing"

func TestMetadataIsTheEntryOfTheLabel(t *testing.T) {
	for contents, want := range map[string]string{
		`{"image": "a", "name": "x"}`: "",
		`{"image": "a", /* c */ "remoteUser": "u", "onCreateCommand": ["a", "b",], "remoteEnv": {"A": "${localEnv:A}"}, "init": true}`:                 `{"onCreateCommand":["a","b"],"init":true,"remoteUser":"u","remoteEnv":{"A":"${localEnv:A}"}}`,
		`{"image": "a", "extensions": ["x"], "settings": {"a": 1, "b": 2}, "customizations": {"vscode": {"extensions": ["y"], "settings": {"a": 3}}}}`: `{"customizations":{"vscode":{"extensions":["y","x"],"settings":{"a":3,"b":2}}}}`,
		`{"image": "a", "extensions": "x", "devPort": null, "mounts": [1.50 "\u00e9<\ud83d"], "init": 1e999}`:                                          `{"customizations":{"vscode":{"extensions":["x"],"devPort":null}},"mounts":[1.5,"é<\ud83d"],"init":null}`,
	} {
		c, err := Parse([]byte(contents))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.Metadata()); got != want {
			t.Errorf("Metadata of %s: %s, want %s", contents, got, want)
		}
		if got := string(c.Metadata()); got != want {
			t.Errorf("Metadata of %s changed the configuration: %s", contents, got)
		}
	}
}
