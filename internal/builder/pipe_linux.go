package builder

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeBytes is what anybody may set: https://man7.org/linux/man-pages/man7/pipe.7.html
const pipeBytes = 1 << 20

// enlargePipe does what it can: a pipe of the usual size works too.
func enlargePipe(pipe *os.File) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(descriptor uintptr) {
		_, _ = unix.FcntlInt(descriptor, unix.F_SETPIPE_SZ, pipeBytes)
	})
}
