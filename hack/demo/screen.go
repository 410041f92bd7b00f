package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen is what the demo prints.
type screen struct {
	out    io.Writer
	colour bool
}

func newScreen(out *os.File) screen {
	return screen{out: out, colour: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""}
}

func (s screen) step(text string) { s.print("\n" + s.bold("==> "+text) + "\n") }

func (s screen) line(text string) { s.print("    " + text + "\n") }

func (s screen) text(text string) {
	for line := range strings.Lines(text) {
		s.line(strings.TrimRight(line, " \n"))
	}
}

func (s screen) done(what string, took time.Duration) {
	s.line(s.bold(fmt.Sprintf("✓ %s, %.1f s", what, took.Seconds())))
}

func (s screen) print(text string) { _, _ = io.WriteString(s.out, text) }

func (s screen) bold(text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// indented passes a program's output on, line by line.
func (s screen) indented() *indented { return &indented{screen: s} }

type indented struct {
	screen screen
	rest   []byte
}

func (i *indented) Write(p []byte) (int, error) {
	i.rest = append(i.rest, p...)
	for {
		line, rest, found := bytes.Cut(i.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		i.screen.line("│ " + string(line))
		i.rest = rest
	}
}

func (i *indented) flush() {
	if len(i.rest) > 0 {
		i.screen.line("│ " + string(i.rest))
		i.rest = nil
	}
}
