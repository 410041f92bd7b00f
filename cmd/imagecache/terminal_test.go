package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// inPipe runs the program with its outputs in pipes.
func inPipe(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = execute(context.Background(), streams{strings.NewReader(input), &out, &errors}, append([]string{"imagecache"}, args...))
	return code, out.String(), errors.String()
}

// onTerminal runs something with a terminal of 80 columns as its output, and returns what the terminal got.
func onTerminal(t *testing.T, do func(tty *os.File)) string {
	t.Helper()
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminal: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		content, _ := io.ReadAll(terminal) // ends with an error when the other side is closed
		got <- string(content)
	}()
	do(tty)
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-got, "\r\n", "\n")
}

// wantOutput compares an output with what it should be.
func wantOutput(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
