package runner

import (
	"fmt"
	"strings"
	"time"
)

// wholeSeconds rounds a duration to seconds, as reports and labels hold it; never below zero.
func wholeSeconds(d time.Duration) int64 {
	return int64(max(d, 0).Round(time.Second) / time.Second)
}

// span writes a duration as the log shows it: 12s, 3m45s, 1h2m.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// savedLine is the line that users were promised on a hit: how long the build took, less what the pull took.
func savedLine(buildSeconds int64, pull time.Duration) string {
	return fmt.Sprintf("⚡️ Using pre-built dev container (saved ~%s build time)", span(time.Duration(buildSeconds)*time.Second-pull))
}

// megabytes writes a size for a person.
func megabytes(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	default:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
}
