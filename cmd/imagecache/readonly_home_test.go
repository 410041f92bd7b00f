//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// readOnlyHome makes a home with a docker configuration, and a command that runs another one with it, read-only.
func readOnlyHome(t *testing.T, e *engine.Engine) (wrapper []string, variables []string) {
	t.Helper()
	home := t.TempDir()
	if e.Config != "" {
		if err := os.CopyFS(filepath.Join(home, ".docker"), os.DirFS(e.Config)); err != nil {
			t.Fatal(err)
		}
	}
	script := `mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME" && exec "$@"`
	return []string{"sh", "-c", script, "sh"}, []string{"HOME=" + home, "DOCKER_CONFIG=", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME="}
}

// TestPrepareWithAReadOnlyHome builds, publishes and pulls where no program may write into the user's home.
func TestPrepareWithAReadOnlyHome(t *testing.T) {
	enginetest.UseCLI(t)
	registry := newStallRegistry(t)
	controller := playController(t, registry.host)
	base, err := name.NewTag(registry.host + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(base, enginetest.BaseImage(t)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []engine.Kind{engine.Docker28Containerd, engine.Podman} {
		t.Run(string(kind), func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("SKIPPED: a mount needs root")
			}
			e := engine.Start(t, kind, registry.host)
			for _, what := range []string{"built", "pulled"} {
				r := newEngineRun(t, e, registry, controller, what)
				if what == "pulled" {
					r.publish(t, layerOf(t, 1, map[string]string{"mark": r.mark}))
				}
				cmd, output := r.command(t)
				wrapper, variables := readOnlyHome(t, e)
				cmd.Args = append(append(wrapper, cmd.Path), cmd.Args[1:]...)
				if cmd.Path, err = exec.LookPath("sh"); err != nil {
					t.Fatal(err)
				}
				cmd.Env = append(cmd.Env, variables...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
				if err := cmd.Run(); err != nil || strings.Contains(output.String(), " ! ") {
					t.Errorf("%s: %v\n%s", what, err, output)
				}
				if left := r.leftFiles(t); len(left) > 0 {
					t.Errorf("temporary files are left: %q", left)
				}
			}
		})
	}
}
