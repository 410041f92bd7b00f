package transfer

import "time"

const (
	// uploads is how many blobs are uploaded concurrently at most.
	uploads = 4
	// ahead is how long the blobs that are being uploaded may take at the line's speed. Blobs that share a slow line
	// would all be incomplete when the upload ends before its time; ahead is well below the 12 minutes after which the
	// manager looks for a further complete layer.
	ahead = 5 * time.Minute
	// chunkTime is how long a request may take at the line's speed, if more than one part of a blob is left. The manager
	// grants upload rights again three minutes before they end. A request that was begun with the old password then ends
	// before, and so the upload goes on between two parts.
	chunkTime = 90 * time.Second
	// assumedRate, 8 Mbit/s, is the speed of a line that was not measured yet, in bytes a second: the slowest for which
	// the manager waits. What is begun together stays together, so a faster line must show itself first.
	assumedRate = 8e6 / 8
	// An upload's speed counts after it has gone on for measuredAfter, or has sent measuredBytes, which are more than the
	// buffers of a connection take.
	measuredAfter = 10 * time.Second
	measuredBytes = 64 << 20
)

// pace is how an upload is doing.
type pace struct {
	// running is how many blobs are being uploaded, and left how many bytes of them are not sent yet.
	running int
	left    int64
	// sent bytes took elapsed.
	sent    int64
	elapsed time.Duration
}

// measured reports whether the line's speed is known.
func (p pace) measured() bool { return p.elapsed >= measuredAfter || p.sent >= measuredBytes }

// rate returns the line's speed in bytes a second.
func (p pace) rate() float64 {
	if !p.measured() {
		return assumedRate
	}
	return float64(p.sent) / p.elapsed.Seconds()
}

// chunk returns how many bytes of a blob the next request sends: as many parts as the blob's share of the line takes in
// chunkTime, one at least and most at most. The first request of a line sends one part: on a slow line, most of them
// would take longer than the rights last. A line that took a part before its speed is measured has at least
// assumedRate.
func (p pace) chunk(part, most int64) int64 {
	if !p.measured() && p.sent < part {
		return min(part, most)
	}
	share := p.rate() / float64(max(p.running, 1))
	parts := int64(share*chunkTime.Seconds()) / part
	return min(max(parts, 1)*part, most)
}

// admits reports whether the upload of another blob may begin beside those that are running.
func (p pace) admits(size int64) bool {
	if p.running == 0 {
		return true
	}
	return p.running < uploads && float64(p.left+size) <= p.rate()*ahead.Seconds()
}
