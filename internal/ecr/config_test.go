package ecr

import (
	"fmt"
	"testing"
	"time"

	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/lru"
)

// A batch may have asked what is known before another batch's read ended, and read after it.
func TestConfigurationIsReadOnceByBatchesThatFollowClosely(t *testing.T) {
	config := []byte(`{}`)
	manifest := fmt.Appendf(nil, `{"config":{"digest":%q,"size":2}}`, ocidigest.FromBytes(config))
	image := Image{Digest: ocidigest.FromBytes(manifest).String(), Manifest: manifest, Config: config, PushedAt: time.Unix(1, 0)}
	images := &Images{facts: newFactCache(lru.NewBudget(1 << 20))} // it has no API
	images.Remember("r", image)
	image.Config = nil
	if got, err := images.configOf(t.Context(), "r", image); err != nil || string(got) != string(config) {
		t.Errorf("got %q, %v", got, err)
	}
}
