package cache

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// unknown is what a table shows for an unknown value.
const unknown = "<unknown>"

// none stands for what an object does not have.
const none = "<none>"

func sizeText(bytes *int64) string {
	switch {
	case bytes == nil:
		return unknown
	case *bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(*bytes)/1e9)
	default:
		return fmt.Sprintf("%.1f MB", float64(*bytes)/1e6)
	}
}

func ageText(at *time.Time, now time.Time) string {
	if at == nil {
		return unknown
	}
	return duration.HumanDuration(now.Sub(*at))
}

func untilText(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return unknown
	case !at.After(now):
		return "expired"
	}
	return duration.HumanDuration(at.Sub(now))
}

func secondsText(seconds *int64) string {
	if seconds == nil {
		return unknown
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}

func textOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
