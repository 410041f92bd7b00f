package inspect

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/disk"
)

func TestJudgeDisk(t *testing.T) {
	tests := map[string]struct {
		speed disk.Speed
		want  Finding
	}{
		"as a gp3 volume by default": {
			disk.Speed{Bytes: 262 << 20, Took: 2096 * time.Millisecond},
			Finding{"", "", ResultWarning, "/store takes 131 MB/s", diskAdvice},
		},
		"fast": {disk.Speed{Bytes: 500e6, Took: time.Second}, Finding{"", "", ResultOK, "/store takes 500 MB/s", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, judgeDisk(Finding{}, "/store", test.speed)); diff != "" {
				t.Errorf("finding (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiskFindingNeedsAFolder covers an engine on another machine, whose store does not exist here.
func TestDiskFindingNeedsAFolder(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if got := diskFinding(t.Context(), absent, os.TempDir()); got.Result != ResultSkipped {
		t.Errorf("finding %+v, want it skipped", got)
	}
	if got := diskFinding(t.Context(), t.TempDir(), os.TempDir()); got.Result == ResultSkipped {
		t.Errorf("finding %+v, want a measurement", got)
	}
}
