package inspect

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
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

// withCompose is an engine whose answer about Docker Compose is known.
type withCompose struct {
	builder.Engine
	answer error
}

func (e withCompose) ComposeReady(context.Context, string) error { return e.answer }

// plain is an engine that knows nothing of Docker Compose.
type plain struct{ builder.Engine }

func (plain) Name() string { return "embedded" }

func TestDockerComposeIsCheckedWhereTheProjectCachesServices(t *testing.T) {
	const advice = "the project caches Docker Compose services, which this machine can't prepare"
	missing := errors.New("docker has no Compose plugin")
	for name, test := range map[string]struct {
		policy v1alpha1.ComposePolicy
		engine builder.Engine
		found  error
		want   []Finding
	}{
		"services are bypassed": {v1alpha1.ComposePolicyBypassed, withCompose{answer: missing}, nil, nil},
		"ready": {
			v1alpha1.ComposePolicyCached, withCompose{}, nil,
			[]Finding{{"Machine", "Docker Compose", ResultOK, "the project's services can be built and started here", ""}},
		},
		"no plugin": {
			v1alpha1.ComposePolicyCached, withCompose{answer: missing}, nil,
			[]Finding{{"Machine", "Docker Compose", ResultWarning, "docker has no Compose plugin", advice}},
		},
		"another builder": {
			v1alpha1.ComposePolicyCached, plain{}, nil, []Finding{{
				"Machine", "Docker Compose", ResultWarning,
				builder.ErrNotSupported.Error() + ": embedded builds no services of Docker Compose", advice,
			}},
		},
		"no builder": {v1alpha1.ComposePolicyCached, nil, errors.New("none"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			doctor := &Doctor{FindEngine: func(context.Context) (builder.Engine, error) { return test.engine, test.found }}
			project := &v1alpha1.ProjectImageCache{Spec: v1alpha1.ProjectImageCacheSpec{Compose: test.policy}}
			if diff := cmp.Diff(test.want, doctor.composeFindings(t.Context(), project)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
