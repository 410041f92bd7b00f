package background

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepOthersClosed lets no program that this process starts inherit an open file that this process inherited. A caller
// that waits for the end of such a file would wait for the publication. Kernels before 5.11 can't do that.
func keepOthersClosed() {
	_ = unix.CloseRange(lockDescriptor, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}
