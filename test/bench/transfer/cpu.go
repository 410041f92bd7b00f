package transfer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"imagecache.dev/internal/process"
)

// ticks are the units of processor time in /proc: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
const ticks = time.Second / 100

// cpuOf returns the processor time of all processes that this one started and that have ended, and of the process pid
// with all below it. The registry runs in this process and does not count.
func cpuOf(pid int) (time.Duration, error) {
	var ended unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &ended); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	total := time.Duration(ended.Utime.Nano() + ended.Stime.Nano())
	pids, err := process.Descendants(pid)
	if err != nil {
		return 0, err
	}
	for _, living := range append(pids, pid) {
		total += cpuOfProcess(living)
	}
	return total, nil
}

// cpuOfProcess is that of a process and of its children that have ended; nothing if it has ended itself.
func cpuOfProcess(pid int) (total time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, cstime = 11, 14
	for _, field := range fields[utime : cstime+1] {
		count, _ := strconv.ParseInt(string(field), 10, 64)
		total += time.Duration(count) * ticks
	}
	return total
}
