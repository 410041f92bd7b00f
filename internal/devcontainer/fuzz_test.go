package devcontainer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRead reads whatever bytes as a devcontainer.json: it never panics, names
// a place in each syntax error, and keeps its promises about what it returns.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"image": "a"}`, "\ufeff// x\r\n{\"build\": {\"dockerfile\": \"D\", \"args\": {\"A\": 1.50}, \"options\": [\"--build-arg\", \"X\"]},}",
		`{"dockerFile": "../D", "context": "..", "features": {"./f": {"v": "${localEnv:X:y}"}, "r/f:1": true}, "containerEnv": {"a": "${localWorkspaceFolder}"}}`,
		`{"dockerComposeFile": ["a", "b"], "service": "s"}`, `{"image": "${localEnv}"}`, "[", `{"a": "\u0000", /* */ "b": [{}]}`, "{\"image\": \"\xff\"}", "",
	} {
		f.Add([]byte(seed))
	}
	workspace := f.TempDir()
	if err := os.WriteFile(filepath.Join(workspace, "D"), []byte("FROM scratch\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, contents []byte) {
		parsed, parseErr := Parse(contents)
		var syntax *SyntaxError
		if errors.As(parseErr, &syntax) && (syntax.Line < 1 || syntax.Column < 1 || syntax.Line > bytes.Count(contents, []byte("\n"))+1) {
			t.Errorf("Parse: %v: no place in the file", parseErr)
		}
		if err := os.WriteFile(filepath.Join(workspace, ".devcontainer.json"), contents, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(workspace, "")
		if parseErr != nil && err == nil {
			t.Errorf("Load succeeded, and Parse: %v", parseErr)
		}
		if err != nil {
			return
		}
		if parsed.Type != loaded.Type || !bytes.Equal(loaded.Raw, contents) {
			t.Errorf("Load: type %s, Parse: %s", loaded.Type, parsed.Type)
		}
		if (loaded.Type == TypeDockerfile) != (loaded.Dockerfile != "" && loaded.DockerfileRaw != nil) || Outside(loaded.Dockerfile) {
			t.Errorf("Load: type %s with the Dockerfile %q", loaded.Type, loaded.Dockerfile)
		}
	})
}
