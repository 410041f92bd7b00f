package aws

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// idleConnections is how many idle connections are kept for each host.
const idleConnections = 128

func keepConnections(t *http.Transport) {
	t.MaxIdleConns = 4 * idleConnections
	t.MaxIdleConnsPerHost = idleConnections
}

// backoff returns the pause before another attempt: 50 ms, doubled each time, less a random half. The rate limit of a
// throttled operation decides how long that operation waits.
func backoff(attempt int, _ error) (time.Duration, error) {
	pause := 50 * time.Millisecond << min(attempt, 5)
	return pause/2 + rand.N(pause/2), nil
}
