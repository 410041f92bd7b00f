package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// defaultWidth is the number of columns of a terminal that does not report its width.
const defaultWidth = 80

// StyleOf returns what a writer can show. Only terminals get colors, and only if NO_COLOR is not set
// (https://no-color.org) and TERM is not dumb.
func StyleOf(out io.Writer, getenv func(string) string) Style {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || getenv("TERM") == "dumb" {
		return Style{}
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		width = defaultWidth
	}
	return Style{Terminal: true, Color: getenv("NO_COLOR") == "", Width: width}
}

// Mark is a sign at the beginning of a line.
type Mark string

// Marks, with their colors on outputs that show colors.
const (
	MarkOK      Mark = "✓"
	MarkFailed  Mark = "✗"
	MarkWarning Mark = "!"
	MarkSkipped Mark = "-"
)

// codes of colors: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ (SGR)
const (
	codeBold   = "1"
	codeDim    = "2"
	codeRed    = "31"
	codeGreen  = "32"
	codeYellow = "33"
)

var markCodes = map[Mark]string{MarkOK: codeGreen, MarkFailed: codeRed, MarkWarning: codeYellow, MarkSkipped: codeDim}

// Mark returns a mark in its color.
func (s Style) Mark(mark Mark) string { return s.paint(markCodes[mark], string(mark)) }

// Title returns the title of a section in its style.
func (s Style) Title(text string) string { return s.paint(codeBold, text) }

func (s Style) dim(text string) string { return s.paint(codeDim, text) }

func (s Style) paint(code, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
