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
