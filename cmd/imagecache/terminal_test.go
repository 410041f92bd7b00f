package main

import (
	"bufio"
	"bytes"
	"context"
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

// endOfOutput is a byte that no command writes.
const endOfOutput byte = 0

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
		content, _ := bufio.NewReader(terminal).ReadString(endOfOutput)
		got <- strings.TrimSuffix(content, "\x00")
	}()
	do(tty)
	// A terminal that is closed may drop what nobody has read yet, so the end is told by a mark.
	if _, err := tty.Write([]byte{endOfOutput}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	return strings.ReplaceAll(<-got, "\r\n", "\n")
}

// wantOutput compares an output with what it should be.
func wantOutput(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
