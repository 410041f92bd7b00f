package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Variable names the environment variable with the engines that must run: their names, with commas between, or "all".
const Variable = "IMAGECACHE_ENGINES"

// Kind is an engine in one version and setting. Its value is the name that people read.
type Kind string

// The engines, oldest first.
const (
	// Docker20 is Debian 12's Docker 20.10 without buildx: it builds without BuildKit.
	Docker20 Kind = "docker-20.10"
	// Docker20Buildx is the same with buildx.
	Docker20Buildx Kind = "docker-20.10-buildx"
	// Docker28Overlay is Docker 28 with the image store that is its default.
	Docker28Overlay Kind = "docker-28-overlay2"
	// Docker28Containerd is Docker 28 with containerd's image store.
	Docker28Containerd Kind = "docker-28-containerd"
	// Docker29 has containerd's image store by default.
	Docker29 Kind = "docker-29"
	// Podman is the one on PATH.
	Podman Kind = "podman"
)

// All are the engines, oldest first.
var All = []Kind{Docker20, Docker20Buildx, Docker28Overlay, Docker28Containerd, Docker29, Podman}

// Program is the name of the client's program, docker or podman.
func (k Kind) Program() string {
	if k == Podman {
		return "podman"
	}
	return "docker"
}

// HasBuildKit reports whether the engine builds with BuildKit, by buildx.
func (k Kind) HasBuildKit() bool { return k != Docker20 && k != Podman }

// parts are the programs of an engine, below the folder of engines.
type parts struct {
	dockerd string
	client  string
	buildx  string // empty where the engine has none
	runc    string // empty where Debian's serves
}

func (k Kind) parts() parts {
	const buildx = "cli-plugins/docker-buildx"
	switch k {
	case Docker20:
		return parts{dockerd: "docker20/dockerd", client: "docker20/docker"}
	case Docker20Buildx:
		return parts{dockerd: "docker20/dockerd", client: "docker20/docker", buildx: buildx}
	case Docker28Overlay, Docker28Containerd:
		return parts{dockerd: "docker28/dockerd", client: "docker", buildx: buildx}
	case Docker29:
		return parts{dockerd: "docker29/dockerd", client: "docker", buildx: buildx, runc: "docker29/runc"}
	default:
		return parts{}
	}
}

// libraries are the folders of the shared libraries that Debian's programs need.
func libraries(programs string) []string {
	return []string{filepath.Join(programs, "containerd"), filepath.Join(programs, "docker20")}
}

// Usual is the engine of tests and of the demo: podman, or Docker 28 where the machine has no podman. It is never the
// machine's own Docker, whose images are somebody else's.
func Usual() (Kind, error) {
	programs, err := findPrograms()
	if err != nil {
		return "", err
	}
	if Podman.missing(programs) == nil {
		return Podman, nil
	}
	if err := Docker28Containerd.missing(programs); err != nil {
		return "", fmt.Errorf("no container engine that may be used here: install podman, or: %w", err)
	}
	return Docker28Containerd, nil
}

// Asked are the engines that the environment asks for, or the usual one where it asks for none. The test is skipped
// where the machine has none.
func Asked(t testing.TB) []Kind {
	t.Helper()
	asked := slices.DeleteFunc(slices.Clone(All), func(kind Kind) bool { return !kind.required() })
	if len(asked) > 0 {
		return asked
	}
	usual, err := Usual()
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return []Kind{usual}
}

// required reports whether the environment asks for an engine.
func (k Kind) required() bool {
	asked := strings.Split(os.Getenv(Variable), ",")
	return slices.Contains(asked, string(k)) || slices.Contains(asked, "all")
}

// missing reports what an engine lacks on this machine, nil where it can start. programs is the folder of engines.
func (k Kind) missing(programs string) error {
	if k == Podman {
		if _, err := exec.LookPath("podman"); err != nil {
			return fmt.Errorf("%s is not installed: run \"make container-engine\"", k)
		}
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("%s needs root", k)
	}
	needed := k.parts()
	for _, program := range []string{needed.dockerd, needed.client, needed.buildx, needed.runc, "containerd/containerd"} {
		if _, err := os.Stat(filepath.Join(programs, program)); err != nil {
			return fmt.Errorf("%s is not built: run \"make engines\" (%w)", k, err)
		}
	}
	return nil
}

// findPrograms returns bin/engines of the repository around the working directory.
func findPrograms() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, "bin", "engines"), nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("find the repository: no go.mod above the working directory")
		}
		folder = filepath.Dir(folder)
	}
}
