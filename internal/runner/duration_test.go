package runner

import (
	"testing"
	"time"
)

func TestSavedLineKeepsItsPromisedForm(t *testing.T) {
	tests := map[string]struct {
		built int64
		pull  time.Duration
		want  string
	}{
		"minutes":                    {227, 2 * time.Second, "⚡️ Using pre-built dev container (saved ~3m45s build time)"},
		"seconds":                    {14, 2200 * time.Millisecond, "⚡️ Using pre-built dev container (saved ~12s build time)"},
		"hours":                      {7500, 0, "⚡️ Using pre-built dev container (saved ~2h5m build time)"},
		"whole minutes":              {120, 0, "⚡️ Using pre-built dev container (saved ~2m0s build time)"},
		"a pull longer than a build": {3, 9 * time.Second, "⚡️ Using pre-built dev container"},
		"a pull as long as a build":  {3, 2800 * time.Millisecond, "⚡️ Using pre-built dev container"},
		"an unknown build":           {0, time.Second, "⚡️ Using pre-built dev container"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := savedLine(test.built, test.pull); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
