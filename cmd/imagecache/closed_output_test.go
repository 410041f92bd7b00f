package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/cli"
)

// An environment gets its image also where the reader of the log has gone.
func TestPrepareWithoutAReader(t *testing.T) {
	tests := map[string]struct {
		arguments string
		code      int
		want      string // on standard error
	}{
		"the log":  {"--pull oci:IMAGES", cli.ExitSuccess, ""},
		"the name": {"--pull oci:IMAGES -o name", cli.ExitFailed, "is ready, but the result can't be printed: "},
		"json":     {"--pull oci:IMAGES -o json", cli.ExitFailed, "is ready, but the result can't be printed: "},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			w := newPrepareWorld(t, hitStatus())
			cmd := exec.CommandContext(t.Context(), os.Args[0], w.argumentsOf(prepareLine(test.arguments))[1:]...)
			cmd.Env = append(os.Environ(), programVariable+"=1")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_ = reader.Close()
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = writer, &said
			err = cmd.Run()
			_ = writer.Close()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("%v, want exit code %d: %s", err, test.code, said.String())
			}
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, test.want) {
				t.Errorf("the last line is %q, want %q", last, test.want)
			}
			if _, err := os.Stat(filepath.Join(w.words["IMAGES"], "index.json")); err != nil {
				t.Errorf("the environment has no image: %v", err)
			}
		})
	}
}
