package runner

import (
	"fmt"
	"strings"
	"time"
)

// wholeSeconds rounds a duration to whole seconds, for reports and labels; never below zero.
func wholeSeconds(d time.Duration) int64 {
	return int64(max(d, 0).Round(time.Second) / time.Second)
}

// span formats a duration for the log: 12s, 3m45s, 1h2m.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}

// savedLine returns the line that users see on a hit: the duration of the build less the duration of the pull. It names
// no time where the pull took as long as the build, or where the duration of the build is not known.
func savedLine(buildSeconds int64, pull time.Duration) string {
	const line = "⚡️ Using pre-built dev container"
	saved := time.Duration(buildSeconds)*time.Second - pull
	if wholeSeconds(saved) == 0 {
		return line
	}
	return fmt.Sprintf("%s (saved ~%s build time)", line, span(saved))
}

// megabytes formats a size for a person.
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
