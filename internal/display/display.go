// Package display writes values as a person reads them: sizes, ages, durations. Commands and the dashboard show the
// same texts. It is pure.
package display

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Unknown is what is shown for an unknown value.
const Unknown = "<unknown>"

// None is what is shown for what an object does not have.
const None = "<none>"

// Size returns a number of bytes as MB or GB.
func Size(bytes *int64) string {
	switch {
	case bytes == nil:
		return Unknown
	case *bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(*bytes)/1e9)
	default:
		return fmt.Sprintf("%.1f MB", float64(*bytes)/1e6)
	}
}

// Age returns how long ago a time was, such as 3h.
func Age(at *time.Time, now time.Time) string {
	if at == nil {
		return Unknown
	}
	return duration.HumanDuration(now.Sub(*at))
}

// Until returns how long it is to a time, or "expired".
func Until(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return Unknown
	case !at.After(now):
		return "expired"
	}
	return duration.HumanDuration(at.Sub(now))
}

// Seconds returns a number of seconds as a duration, such as 3m45s.
func Seconds(seconds *int64) string {
	if seconds == nil {
		return Unknown
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}

// Or returns a text, or another one if the text is empty.
func Or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// severities of findings, the worst first:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanFindingsSummary.html
var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"}

// Findings names the numbers of findings, as "2 critical, 1 low".
func Findings(findings map[string]int32) string {
	if findings == nil {
		return Unknown
	}
	var parts []string
	for _, severity := range severities {
		if count := findings[severity]; count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, strings.ToLower(severity)))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
