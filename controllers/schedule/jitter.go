package schedule

import (
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Soonest is the shorter of two pauses, of which zero means none.
func Soonest(a, b time.Duration) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}

// JitterShare is the part of a pause by which jitter shortens it at most: a tenth.
const JitterShare = 10

// Jittered moves a pause by up to a tenth, always the same for one object, so that many don't wake together.
func Jittered(pause time.Duration, uid types.UID) time.Duration {
	return pause - time.Duration(Share(uid)*float64(pause)/JitterShare)
}

// Share is a number in [0, 1) that is fixed for an object.
func Share(uid types.UID) float64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(uid)) // never fails
	return float64(sum.Sum32()) / (1 << 32)
}
