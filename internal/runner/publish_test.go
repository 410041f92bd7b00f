package runner

import (
	"testing"
	"time"
)

func TestUploadsOfOneImageAreNotRepeatedAtOnce(t *testing.T) {
	want := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}
	for uploads, pause := range append(want, 30*time.Second) {
		if got := uploadPause(uploads); got != pause {
			t.Errorf("after %d uploads it waits %s, want %s", uploads, got, pause)
		}
	}
}
