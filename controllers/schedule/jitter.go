package schedule

import (
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Soonest returns the shorter of two pauses. Zero means no pause is set.
func Soonest(a, b time.Duration) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}

// JitterShare is how many times the largest jitter fits into the pause that it shortens.
const JitterShare = 10

// Jittered shortens a pause by up to a tenth, always by the same share for one object, so that many objects don't
// wake together.
func Jittered(pause time.Duration, uid types.UID) time.Duration {
	return pause - time.Duration(Share(uid)*float64(pause)/JitterShare)
}

// Share returns a number in [0, 1) that is fixed for an object.
func Share(uid types.UID) float64 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(uid)) // never fails
	return float64(sum.Sum32()) / (1 << 32)
}
