package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// bypassCache makes writes bypass the page cache. File systems without that, such as tmpfs, refuse, and keep the cache.
func bypassCache(file *os.File) {
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(file.Fd(), unix.F_SETFL, flags|unix.O_DIRECT)
	}
}

// alignedBlock returns memory that begins at a page, as writes past the page cache need.
func alignedBlock(size int) (block []byte, free func(), err error) {
	block, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	return block, func() { _ = unix.Munmap(block) }, err
}

// SameDisk reports whether two folders are on one file system. It is false if either can't be examined.
func SameDisk(a, b string) bool {
	var first, second unix.Stat_t
	return unix.Stat(a, &first) == nil && unix.Stat(b, &second) == nil && first.Dev == second.Dev
}
