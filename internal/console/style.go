package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// defaultWidth is the columns of a terminal that does not tell.
const defaultWidth = 80

// StyleOf finds out what a writer can show. Colours are for terminals only, and never where NO_COLOR is set
// (https://no-color.org) or TERM is dumb.
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

// Marks, with the colours that they have where there are colours.
const (
	MarkOK      Mark = "✓"
	MarkFailed  Mark = "✗"
	MarkWarning Mark = "!"
	MarkSkipped Mark = "-"
)

// codes of colours: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ (SGR)
const (
	codeBold   = "1"
	codeDim    = "2"
	codeRed    = "31"
	codeGreen  = "32"
	codeYellow = "33"
)

var markCodes = map[Mark]string{MarkOK: codeGreen, MarkFailed: codeRed, MarkWarning: codeYellow, MarkSkipped: codeDim}

// Mark paints a mark.
func (s Style) Mark(mark Mark) string { return s.paint(markCodes[mark], string(mark)) }

// Title paints the title of a section.
func (s Style) Title(text string) string { return s.paint(codeBold, text) }

func (s Style) dim(text string) string { return s.paint(codeDim, text) }

func (s Style) paint(code, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
