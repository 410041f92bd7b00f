package transfer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memoryFolder is where Linux has a file system in memory.
const memoryFolder = "/dev/shm"

// storeBytes is what a run needs at most: two stores with the image, and its layers once more.
const storeBytes = 6 << 30

// storesFolder returns the folder for the engines' stores: BENCH_STORES, or memory if twice as much is available as a run
// needs, or "" for the folder of temporary files.
func storesFolder() string {
	if named := os.Getenv("BENCH_STORES"); named != "" {
		return named
	}
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil || availableBytes(string(meminfo)) < 2*storeBytes {
		fmt.Fprintln(os.Stderr, "    the stores are on the disk: there is too little memory for them")
		return ""
	}
	return memoryFolder
}

// availableBytes reads what programs may still take without swapping, or 0:
// https://man7.org/linux/man-pages/man5/proc_meminfo.5.html
func availableBytes(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if value, found := strings.CutPrefix(line, "MemAvailable:"); found {
			kibibytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kibibytes << 10
		}
	}
	return 0
}
