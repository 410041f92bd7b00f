package runner

import (
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/test/engine"
)

// The private configuration of a pull must not hide the files by which docker reaches its daemon.
func TestADaemonBehindTLSPulls(t *testing.T) {
	for _, kind := range []engine.Kind{engine.Docker20, engine.Docker28Overlay, engine.Docker28Containerd, engine.Docker29} {
		t.Run(string(kind), func(t *testing.T) {
			engine.Start(t, kind).UseTLS(t)
			docker, err := builder.Find(t.Context(), builder.Docker)
			if err != nil {
				t.Fatal(err)
			}
			wanted, _, _ := pullOf(t)
			if err := (EngineStore{docker}).pull(t.Context(), wanted); err != nil {
				t.Fatal(err)
			}
			if _, err := docker.Save(t.Context(), wanted.name, t.TempDir(), compression.Gzip, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
