package publication

import (
	"testing"
	"time"
)

func TestAnImageIsDueThatIsUsedAndSoonExpires(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		pulled, expires time.Time
		want            bool
	}{
		"pulled today, expires in 6 days":         {now, now.Add(6 * day), true},
		"pulled today, expires in 7 days":         {now, now.Add(7 * day), false},
		"pulled today, expires in a minute":       {now, now.Add(time.Minute), true},
		"pulled today, expires now":               {now, now, false},
		"pulled today, expired":                   {now, now.Add(-time.Hour), false},
		"pulled 14 days ago, expires in 6 days":   {now.Add(-14 * day), now.Add(6 * day), true},
		"pulled 15 days ago, expires in 6 days":   {now.Add(-15 * day), now.Add(6 * day), false},
		"never pulled, expires in 6 days":         {time.Time{}, now.Add(6 * day), false},
		"pulled by a clock ahead, expires in 1 h": {now.Add(time.Minute), now.Add(time.Hour), true},
	} {
		if got := IsDue(test.pulled, test.expires, now, 30*day); got != test.want {
			t.Errorf("%s: due is %t, want %t", name, got, test.want)
		}
	}
}

func TestANewImageIsNotDueHoweverShortItIsKept(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	for days, window := range map[int]time.Duration{0: 7 * day, 1: 6 * time.Hour, 4: day, 7: 42 * time.Hour, 28: 7 * day, 365: 7 * day} {
		retention := time.Duration(days) * day
		if got := DueWindow(retention); got != window {
			t.Errorf("kept for %d days, an image is due for %s, want %s", days, got, window)
		}
		if days > 0 && IsDue(now, now.Add(retention), now, retention) {
			t.Errorf("kept for %d days, an image is due as soon as it is published", days)
		}
		if !IsDue(now, now.Add(window-time.Minute), now, retention) {
			t.Errorf("kept for %d days, an image is not due %s before it expires", days, window)
		}
	}
}
