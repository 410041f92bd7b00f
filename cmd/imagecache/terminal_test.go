package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"imagecache.dev/internal/cli"
)

// inPipe runs the program with its outputs in pipes.
func inPipe(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = execute(context.Background(), cli.Streams{In: strings.NewReader(input), Out: &out, Err: &errors}, append([]string{"imagecache"}, args...))
	return code, out.String(), errors.String()
}

// wantOutput compares an output with what it should be.
func wantOutput(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
