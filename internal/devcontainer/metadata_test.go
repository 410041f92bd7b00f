package devcontainer

import "testing"

func TestMetadataIsTheEntryOfTheLabel(t *testing.T) {
	for contents, want := range map[string]string{
		`{"image": "a", "name": "x"}`: "",
		`{"image": "a", /* c */ "remoteUser": "u", "onCreateCommand": ["a", "b",], "remoteEnv": {"A": "${localEnv:A}"}, "init": true}`:                 `{"onCreateCommand":["a","b"],"init":true,"remoteUser":"u","remoteEnv":{"A":"${localEnv:A}"}}`,
		`{"image": "a", "extensions": ["x"], "settings": {"a": 1, "b": 2}, "customizations": {"vscode": {"extensions": ["y"], "settings": {"a": 3}}}}`: `{"customizations":{"vscode":{"extensions":["y","x"],"settings":{"a":3,"b":2}}}}`,
	} {
		c, err := Parse([]byte(contents))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Metadata(); err != nil || string(got) != want {
			t.Errorf("Metadata of %s: %s, %v, want %s", contents, got, err, want)
		}
	}
}
