package aws

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// idleConnections are kept for each host.
const idleConnections = 128

func keepConnections(t *http.Transport) {
	t.MaxIdleConns = 4 * idleConnections
	t.MaxIdleConnsPerHost = idleConnections
}

// backoff is the pause before another attempt: 50 ms, doubled with each, less a random half. How long a throttled
// operation waits is not decided here, but by its rate limit.
func backoff(attempt int, _ error) (time.Duration, error) {
	pause := 50 * time.Millisecond << min(attempt, 5)
	return pause/2 + rand.N(pause/2), nil
}
