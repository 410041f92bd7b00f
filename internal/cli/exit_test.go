package cli

import (
	"bytes"
	"errors"
	"testing"
)

func TestFailuresAreOneLine(t *testing.T) {
	var out bytes.Buffer
	code := ExitCode(errors.New("build:\n  line one\n\tline two"), &out)
	if want := "imagecache: build: line one line two\n"; code != ExitFailed || out.String() != want {
		t.Errorf("exit code %d, standard error %q; want %d, %q", code, out.String(), ExitFailed, want)
	}
}
