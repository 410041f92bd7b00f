package builder

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pipeBytes is what anybody may set: https://man7.org/linux/man-pages/man7/pipe.7.html
const pipeBytes = 1 << 20

// newPipe makes a pipe for much data from another process. Each time that it is empty or full somebody waits, behind all
// that compresses: the usual 64 KiB take most of the time of a large image.
func newPipe() (reader, writer *os.File, err error) {
	reader, writer, err = os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	if raw, err := reader.SyscallConn(); err == nil {
		_ = raw.Control(func(descriptor uintptr) {
			_, _ = unix.FcntlInt(descriptor, unix.F_SETPIPE_SZ, pipeBytes) // one of the usual size works too
		})
	}
	return reader, writer, nil
}
