package builder

import (
	"fmt"
	"os"
)

// newPipe makes a pipe for much data from another process. Each time that it is empty or full somebody waits, behind
// all that compresses: with the usual 64 KiB that takes most of the time of a large image.
func newPipe() (reader, writer *os.File, err error) {
	reader, writer, err = os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	enlargePipe(reader)
	return reader, writer, nil
}
