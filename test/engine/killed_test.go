package engine_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imagecache.dev/test/engine"
)

// victimVariable makes a test the victim of the one below: it starts this engine and waits to be killed.
const victimVariable = "ENGINE_TEST_VICTIM"

func TestVictim(t *testing.T) {
	kind := engine.Kind(os.Getenv(victimVariable))
	if kind == "" {
		t.Skip("runs as a part of TestKilledTestLeavesNothing")
	}
	e := engine.Start(t, kind)
	e.Load(t, baseImage(t), "localhost/base:1")
	e.Run(t, "run", "--detach", "localhost/base:1", "sleep", "600")
	_, _ = os.Stdout.WriteString("socket " + e.Socket + "\n")
	time.Sleep(time.Minute)
}

// TestKilledTestLeavesNothing kills a test whose engine runs a container.
func TestKilledTestLeavesNothing(t *testing.T) {
	for _, kind := range []engine.Kind{engine.Docker20, engine.Docker28Containerd, engine.Docker29} {
		t.Run(string(kind), func(t *testing.T) {
			engine.Start(t, kind) // skips where it is not built
			victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestVictim$")
			victim.Env = append(os.Environ(), victimVariable+"="+string(kind))
			output, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			socket := ""
			for lines := bufio.NewScanner(output); socket == "" && lines.Scan(); {
				socket, _ = strings.CutPrefix(lines.Text(), "socket ")
				if socket == lines.Text() {
					socket = ""
				}
			}
			if socket == "" {
				t.Fatal("the victim started no engine")
			}
			dir := filepath.Dir(socket)
			bridge := bridgeOf(t, dir)
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait()

			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				_, err := os.Stat(dir)
				if errors.Is(err, fs.ErrNotExist) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s exists 20 s after its test was killed", dir)
				}
			}
			for deadline := time.Now().Add(time.Second); processWith(t, dir); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a process of the engine runs after its folder was removed")
				}
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(mounts), dir) {
				t.Error("a mount of the engine is left")
			}
			if _, err := net.InterfaceByName(bridge); err == nil {
				t.Errorf("the engine's bridge %s is left", bridge)
			}
		})
	}
}

// bridgeOf returns the name of the bridge of the engine in dir.
func bridgeOf(t *testing.T, dir string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	var settings struct{ Bridge string }
	if err := json.Unmarshal(content, &settings); err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName(settings.Bridge); err != nil {
		t.Fatalf("the engine runs without its bridge %q: %v", settings.Bridge, err)
	}
	return settings.Bridge
}

// processWith reports whether any process of the machine has words in its command line.
func processWith(t *testing.T, words string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), words) {
			return true
		}
	}
	return false
}
