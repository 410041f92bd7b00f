package devcontainerimage

import (
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/publication"
	"imagecache.dev/test/fixture"
)

// TestNewKeySignsWhenRunnersKnowIt rotates the key: what it signs before the runner's status shows it, environments would
// not trust.
func TestNewKeySignsWhenRunnersKnowIt(t *testing.T) {
	earlier, rotated := newKey(t), newKey(t)
	r := &Reconciler{AWSClock: testclock.NewFakePassiveClock(fixture.Noon), Keys: signingkeys.New(signingkeys.NewSet(rotated, earlier.Key()))}
	built := &publication.Image{Manifest: []byte(`{"schemaVersion":2,"config":{"digest":"sha256:` + strings.Repeat("1", 64) + `"},"layers":[]}`)}
	for name, test := range map[string]struct {
		shown []provenance.Key
		signs bool
	}{
		"the earlier key alone":               {[]provenance.Key{earlier.Key()}, false},
		"both":                                {[]provenance.Key{rotated.Key(), earlier.Key()}, true},
		"none, as with an earlier definition": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) {
				for _, key := range test.shown {
					r.Status.SigningKeys = append(r.Status.SigningKeys, v1alpha1.SigningKey{ID: key.ID, PublicKey: key.PEM()})
				}
			})
			p := &pass{image: &v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{}}}, project: &v1alpha1.ProjectImageCache{}, runner: runner}
			signed, err := r.sign(t.Context(), p, &v1alpha1.RepositoryStatus{}, built)
			if reason, _ := outcome.Reason(err); test.signs != (signed != nil) || !test.signs && reason != v1alpha1.ReasonUploading {
				t.Errorf("signed %v, %v; want signed %t", signed, err, test.signs)
			}
		})
	}
}

// TestImageIsDatedWhenItIsSigned has a pass that began before AWS' first answer told of its clock, as just after a start of
// the manager.
func TestImageIsDatedWhenItIsSigned(t *testing.T) {
	r := &Reconciler{AWSClock: testclock.NewFakePassiveClock(fixture.Noon)}
	p := &pass{
		image:   &v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{}}},
		project: &v1alpha1.ProjectImageCache{}, awsNow: fixture.Noon.Add(-time.Hour),
	}
	record := r.recordOf(p, &v1alpha1.RepositoryStatus{}, &publication.Image{Manifest: []byte(`{}`)})
	if !record.FinishedAt.Equal(fixture.Noon) {
		t.Errorf("signed at %s, want %s", record.FinishedAt, fixture.Noon)
	}
}
