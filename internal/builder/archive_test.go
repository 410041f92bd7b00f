package builder

import (
	"strings"
	"testing"
)

func TestLastWordsAreTheReason(t *testing.T) {
	const at = "[2026-01-02T03:04:05.678Z] "
	tests := map[string]struct{ output, want string }{
		"podman's error before the reference CLI's": {
			at + "STEP 2\n" + at + "Error: building at STEP \"RUN x\": exit status 3\n\n" + at + "Exit code 3\nError: Command failed: podman build\n    at IW (x.js:1)\n",
			`building at STEP "RUN x": exit status 3`,
		},
		"BuildKit":      {"#5 ERROR: no\nERROR: failed to solve: no\n", "failed to solve: no"},
		"docker":        {"Error response from daemon: no such image\n", "no such image"},
		"nothing said":  {"", ""},
		"no error line": {"a\nb\n\n", "b"},
		"too long":      {strings.Repeat("ä", 1000), strings.Repeat("ä", maxWords-1) + "…"},
		"a level":       {`time="x" level=error msg="no space"` + "\n", "no space"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := lastWords([]byte(test.output)); got != test.want {
				t.Errorf("lastWords: %q, want %q", got, test.want)
			}
		})
	}
}

func TestTailKeepsTheLastBytes(t *testing.T) {
	said := &tail{limit: 5}
	for _, text := range []string{"abc", "def", "0123456789", "x"} {
		if n, err := said.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if got := said.String(); got != "6789x" {
		t.Errorf("tail: %q", got)
	}
}
