package priority

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// lowNice leaves a tenth of a busy core: https://man7.org/linux/man-pages/man7/sched.7.html. With less, goroutines
	// that wait for this process's busy threads, such as renewals of a Lease, could come too late.
	lowNice = 10
	// lowIO is the last level of the best-effort class. The idle class could starve on a busy disk:
	// https://man7.org/linux/man-pages/man2/ioprio_set.2.html
	lowIO = ioClassBestEffort<<ioClassShift | 7

	ioClassBestEffort = 2
	ioClassIdle       = 3
	ioClassShift      = 13
	ioWhoProcess      = 1 // of one thread

	// niceBase less a nice value is what the system call getpriority returns:
	// https://man7.org/linux/man-pages/man2/getpriority.2.html#NOTES
	niceBase = 20
)

// lowerThread lowers the thread of the calling goroutine, which keeps it to its end. The runtime ends the thread then,
// and starts no other thread from it.
func lowerThread() {
	runtime.LockOSThread()
	if nice, err := threadNice(); err == nil && nice < lowNice {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowNice) // of the thread, in Linux
	}
	if io, _, errno := unix.Syscall(
		unix.SYS_IOPRIO_GET, ioWhoProcess, 0, 0,
	); errno == 0 &&
		io>>ioClassShift != ioClassIdle {
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoProcess, 0, lowIO)
	}
}

// threadNice returns the nice value of the calling thread.
func threadNice() (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return niceBase - raw, err
}

// LeadSession gives the session that this process leads the priority that the process inherited. Where Linux groups
// processes by session, the nice value counts only within a session: sched(7), "The autogroup feature". Call it on the
// main thread.
func LeadSession() {
	if nice, err := threadNice(); err == nil && nice > 0 {
		_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(nice)), 0) // missing where the feature is off
	}
}
