package publication

import "time"

// DueWithin is how long before its expiry an image is due at most: a prebuild replaces it, so that nobody waits for a
// new one.
const DueWithin = 7 * 24 * time.Hour

// UsedWithin is how long after its last pull an image counts as used. It is longer than a week of holidays, and short
// enough that the images of merged branches do not count: nobody replaces those.
const UsedWithin = 14 * 24 * time.Hour

// DueWindow returns how long before its expiry an image is due that is kept for a retention: the last quarter of it, so
// that a new image is not due at once, and not more than DueWithin. Zero is an unknown retention.
func DueWindow(retention time.Duration) time.Duration {
	if retention <= 0 {
		return DueWithin
	}
	return min(DueWithin, retention/4)
}

// IsDue reports whether an image is due: it is used and expires soon. pulled is the time of its last pull, zero if
// nobody pulled it, and retention is how long it is kept.
func IsDue(pulled, expires, now time.Time, retention time.Duration) bool {
	used := !pulled.IsZero() && !pulled.Before(now.Add(-UsedWithin))
	return used && now.Before(expires) && expires.Before(now.Add(DueWindow(retention)))
}
