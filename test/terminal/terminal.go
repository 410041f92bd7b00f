// Package terminal shows tests what a program writes to a terminal.
package terminal

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// endOfOutput is a byte that no command writes.
const endOfOutput byte = 0

// Show runs something with a terminal of 80 columns as its output, and returns what the terminal got.
func Show(t *testing.T, do func(tty *os.File)) string {
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
	// A terminal that is closed may drop what nobody has read yet, so a mark shows the end.
	if _, err := tty.Write([]byte{endOfOutput}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	return strings.ReplaceAll(<-got, "\r\n", "\n")
}
