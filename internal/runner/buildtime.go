package runner

import (
	"fmt"
	"time"

	"imagecache.dev/api/v1alpha1"
)

// buildTime returns how long an image takes to build: what a hit saves. A build with steps from the engine's layer
// cache took less, so an earlier build of the project counts if it took longer: docs/adr/0019-build-time.md.
func buildTime(image *v1alpha1.DevcontainerImage, took time.Duration, cachedSteps int) time.Duration {
	builder := image.Status.Builder
	if cachedSteps == 0 || builder == nil || builder.ExpectedSeconds == nil {
		return took
	}
	return max(took, time.Duration(*builder.ExpectedSeconds)*time.Second)
}

// cachedText tells that a build was faster than one on another machine.
func cachedText(cachedSteps int) string {
	switch cachedSteps {
	case 0:
		return ""
	case 1:
		return ", 1 step from this machine's layer cache"
	}
	return fmt.Sprintf(", %d steps from this machine's layer cache", cachedSteps)
}
