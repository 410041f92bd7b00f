package up

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imagecache.dev/internal/cli"
)

// endless is the command of a build step that does not end. Nothing else on the machine has this argument.
const endless = "sleep 864213"

// testServicesThatEndEarly ends runs while a service is built.
func (m *machine) testServicesThatEndEarly(t *testing.T) {
	p := m.place(t, "ends early", comparison{
		compose: true, config: `{"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/w"}`,
		files: files(composeFile(`
  app: {build: ., command: sleep 100000}
  worker: {build: {context: ., dockerfile_inline: "FROM <base>\nRUN `+endless+`"}}`), dockerfile(baseImage, "\nRUN date > /built\n")),
	})
	temporary := t.TempDir()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			var output bytes.Buffer
			command := exec.CommandContext(t.Context(), filepath.Join(programs(), "imagecache"), "prepare", p.folder,
				"--project", composed, "--environment", "ends-"+signal.String(), "--builder", p.engine.Kind.Program())
			command.Env = append(append(os.Environ(), p.engine.Environment...), p.env...)
			command.Env = append(command.Env, "TMPDIR="+temporary)
			command.Stdout, command.Stderr = &output, &output
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = command.Wait() }()
			begun := false
			eventually(func() bool {
				begun = len(processesWith(endless)) > 0
				return begun || isClosed(ended)
			})
			_ = command.Process.Signal(signal)
			<-ended
			if !begun {
				t.Fatalf("the step did not begin:\n%s", &output)
			}
			if code := command.ProcessState.ExitCode(); signal == syscall.SIGINT && code != cli.ExitInterrupted {
				t.Errorf("exit code %d:\n%s", code, &output)
			}
			left := func() []string { return append(processesWith(endless), processesWith("TMPDIR="+temporary)...) }
			if !eventually(func() bool { return len(left()) == 0 }) {
				t.Errorf("processes are left: %q", left())
			}
			if names, err := os.ReadDir(temporary); signal == syscall.SIGINT && (err != nil || len(names) > 0) {
				t.Errorf("temporary files are left: %v, %v", names, err)
			}
		})
	}
	p.remove(t)
}

func isClosed(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func eventually(done func() bool) bool {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}

// processesWith are the command lines of the processes that have a text there, or in their environment.
func processesWith(text string) []string {
	var found []string
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, folder := range folders {
		line, _ := os.ReadFile(filepath.Join(folder, "cmdline")) // of a process that has ended: nothing
		environment, _ := os.ReadFile(filepath.Join(folder, "environ"))
		words := strings.ReplaceAll(string(line), "\x00", " ")
		if strings.Contains(words, text) || bytes.Contains(environment, []byte(text)) {
			found = append(found, words)
		}
	}
	return found
}
