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

func TestFailuresShowNoPresignedAddress(t *testing.T) {
	var out bytes.Buffer
	ExitCode(errors.New(`pull image: Get "https://storage/layer?X-Amz-Signature=SECRET": EOF`), &out)
	if want := "imagecache: pull image: Get \"https://storage/layer?REDACTED\": EOF\n"; out.String() != want {
		t.Errorf("standard error %q, want %q", out.String(), want)
	}
}
