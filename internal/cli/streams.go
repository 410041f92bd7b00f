package cli

import (
	"fmt"
	"io"
)

// Streams are the program's input and outputs.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// WriteLine writes a line. Its errors name the output, as those of Output do.
func WriteLine(out io.Writer, text string) error {
	if _, err := fmt.Fprintln(out, text); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
