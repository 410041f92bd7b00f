package builder_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// TestEveryEngineTellsOfImagesAndContainers asks every engine what devcontainer up needs to know before it runs.
func TestEveryEngineTellsOfImagesAndContainers(t *testing.T) {
	for _, kind := range engine.All {
		t.Run(string(kind), func(t *testing.T) {
			e := enginetest.StartKind(t, kind)
			containers, ok := e.Engine.(builder.Containers)
			if !ok {
				t.Fatalf("%s runs no containers", e.Engine.Name())
			}
			const built = "localhost/imagecache-test/told:1"
			workspace := workspaceOf(t, map[string]string{
				".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "remoteUser": "dev"}`,
				".devcontainer/Dockerfile": "FROM " + e.Base + "\nRUN echo 'dev:x:1000:1000::/home/dev:/bin/sh' >>/etc/passwd && ln -s /etc/passwd /link\n" +
					"VOLUME /data\nUSER dev\nENTRYPOINT []\nCMD []\n",
			})
			if _, err := e.Engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: built}); err != nil {
				t.Fatal(err)
			}
			config, err := containers.Config(t.Context(), built)
			if err != nil {
				t.Fatal(err)
			}
			if label := config.Labels["devcontainer.metadata"]; config.User != "dev" || !strings.Contains(label, `"remoteUser":"dev"`) {
				t.Errorf("the image's configuration is %+v", config)
			}
			accounts, err := containers.ReadFile(t.Context(), built, "/etc/passwd", 1<<20)
			if err != nil || !strings.HasSuffix(string(accounts), "\ndev:x:1000:1000::/home/dev:/bin/sh\n") {
				t.Errorf("/etc/passwd is %q, %v", accounts, err)
			}
			for path, limit := range map[string]int64{"/etc/passwd": 10, "/etc": 1 << 20, "/none": 1 << 20} {
				if content, err := containers.ReadFile(t.Context(), built, path, limit); err == nil {
					t.Errorf("%s with a limit of %d bytes is %q, want an error", path, limit, content)
				}
			}
			if left, err := containers.ContainerLabels(t.Context(), []string{"devcontainer.metadata"}); err != nil || len(left) > 0 {
				t.Errorf("containers are left: %v, %v", left, err)
			}
			upIsFound(t, containers, built)
		})
	}
}

// upIsFound brings a container up, and finds it by its labels, running or not.
func upIsFound(t *testing.T, e builder.Containers, image string) {
	t.Helper()
	workspace := workspaceOf(t, map[string]string{
		".devcontainer.json": `{"image": "` + image + `", "remoteUser": "root", "containerUser": "root", "postCreateCommand": "echo hook $UP_TEST"}`,
	})
	t.Setenv("UP_TEST", "not in the container")
	var logs bytes.Buffer
	answer, err := e.Up(t.Context(), builder.UpRequest{Workspace: workspace, KeepIDs: true, Logs: &logs})
	if err != nil {
		t.Fatalf("Up: %v\n%s", err, logs.String())
	}
	defer func() {
		if output, err := exec.CommandContext(t.Context(), e.Name(), "rm", "--force", answer.ContainerID).CombinedOutput(); err != nil {
			t.Errorf("remove container: %v: %s", err, output)
		}
	}()
	if answer.ContainerID == "" || answer.RemoteUser != "root" || answer.RemoteWorkspaceFolder != "/workspaces/"+filepath.Base(workspace) {
		t.Errorf("answer %+v", answer)
	}
	if !strings.Contains(logs.String(), "Running the postCreateCommand from devcontainer.json") {
		t.Errorf("the lifecycle command is not in the log: %s", logs.String())
	}
	if !strings.Contains(logs.String(), builder.RunCommand) {
		t.Errorf("the log does not tell when the container starts: %s", logs.String())
	}
	own := "devcontainer.local_folder=" + workspace
	found, err := e.ContainerLabels(t.Context(), []string{own})
	if err != nil || len(found) != 1 || found[0]["devcontainer.config_file"] != filepath.Join(workspace, ".devcontainer.json") {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := e.ContainerLabels(t.Context(), []string{own + "x"}); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v for another label", found, err)
	}
	again, err := e.Up(t.Context(), builder.UpRequest{Workspace: workspace})
	if err != nil || again.ContainerID != answer.ContainerID {
		t.Errorf("the second time it is %+v, %v", again, err)
	}
}

// TestUpSeesAContainerThatStartsAtOnce has an engine that begins to listen for events when the container has started.
func TestUpSeesAContainerThatStartsAtOnce(t *testing.T) {
	for _, kind := range engine.Asked(t) {
		t.Run(string(kind), func(t *testing.T) {
			e := enginetest.StartKind(t, kind)
			own, err := exec.LookPath(e.Engine.Name())
			if err != nil {
				t.Fatal(err)
			}
			slow := t.TempDir()
			script := "#!/bin/sh\n[ \"$1\" != events ] || sleep 4\nexec " + own + " \"$@\"\n"
			if err := os.WriteFile(filepath.Join(slow, e.Engine.Name()), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", slow+":"+os.Getenv("PATH"))
			found, err := builder.Find(t.Context(), e.Engine.Name())
			if err != nil {
				t.Fatal(err)
			}
			containers, ok := found.(builder.Containers)
			if !ok {
				t.Fatalf("%s runs no containers", found.Name())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "` + e.Base + `"}`})
			var logs bytes.Buffer
			answer, err := containers.Up(ctx, builder.UpRequest{Workspace: workspace, KeepIDs: true, Logs: &logs})
			if err != nil {
				t.Fatalf("Up: %v\n%s", err, logs.String())
			}
			if output, err := exec.CommandContext(t.Context(), found.Name(), "rm", "--force", answer.ContainerID).CombinedOutput(); err != nil {
				t.Errorf("remove container: %v: %s", err, output)
			}
		})
	}
}

// upWith runs Up with a script in place of the reference CLI.
func upWith(t *testing.T, script string, r builder.UpRequest) (*builder.UpAnswer, error) {
	t.Helper()
	return podmanWith(t, script, "echo store").Up(t.Context(), r)
}

func TestAnswersOfUp(t *testing.T) {
	tests := map[string]struct {
		script, id, err string
	}{
		"success":      {`echo noise; echo '{"outcome":"success","containerId":"c1"}'`, "c1", ""},
		"a hook fails": {`echo '{"outcome":"error","message":"Command failed: sh -c x","description":"The onCreateCommand failed.","containerId":"c1"}'; exit 1`, "c1", "start dev container: The onCreateCommand failed."},
		"something that the CLI did not expect": {
			`echo 'Error: no such network' >&2; echo '{"outcome":"error","message":"Command failed: podman run","description":"An error occurred setting up the container."}'; exit 1`,
			"", "start dev container: no such network",
		},
		"no answer":        {`echo 'Error: no space left' >&2; exit 1`, "", "start dev container: no space left"},
		"neither of both":  {`true`, "", "start dev container: the dev container CLI gave no answer: unexpected end of JSON input"},
		"a lying success":  {`echo '{"outcome":"success"}'; exit 3`, "", "start dev container: devcontainer: exit status 3"},
		"more than a line": {`printf '{"outcome":"error","message":"a\\n\\tb"}\n'; exit 1`, "", "start dev container: a b"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer, err := upWith(t, test.script, builder.UpRequest{Workspace: "/w"})
			if text := textOf(err); text != test.err {
				t.Errorf("error %q, want %q", text, test.err)
			}
			if answer != nil && answer.ContainerID != test.id || answer == nil && test.id != "" {
				t.Errorf("answer %+v, want container %q", answer, test.id)
			}
		})
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestArgumentsOfUp(t *testing.T) {
	printed := filepath.Join(t.TempDir(), "arguments")
	script := `printf '%s\n' "$@" >` + printed + `; env | grep -e ^LC_ALL= -e ^TMP= >>` + printed + `; echo '{"outcome":"success"}'`
	t.Setenv("LC_ALL", "of the person")
	tests := map[string]struct {
		request builder.UpRequest
		want    []string
	}{
		"plain": {builder.UpRequest{Workspace: "/w"}, nil},
		"all": {
			builder.UpRequest{Workspace: "/w", ConfigPath: "/w/c", Override: "/o", KeepIDs: true, Arguments: []string{"--prebuild"}},
			[]string{"--config", "/w/c", "--override-config", "/o", "--update-remote-user-uid-default", "never", "--prebuild"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := upWith(t, script, test.request); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(printed)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSpace(string(content)), "\n")
			got[4] = filepath.Base(got[4]) // of podman
			want := slices.Concat([]string{"up", "--workspace-folder", "/w", "--docker-path", "podman"}, test.want, []string{"LC_ALL=of the person"})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("arguments and variables (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRemotePodmanIsAskedByItsOwnClient has a podman whose machine may have another clock.
func TestRemotePodmanIsAskedByItsOwnClient(t *testing.T) {
	printed := filepath.Join(t.TempDir(), "path")
	for host, own := range map[string]bool{"": false, "ssh://core@127.0.0.1/run/podman.sock": true} {
		t.Setenv("CONTAINER_HOST", host)
		if _, err := upWith(t, `echo "$5" >`+printed+`; echo '{"outcome":"success"}'`, builder.UpRequest{Workspace: "/w"}); err != nil {
			t.Fatal(err)
		}
		path, err := os.ReadFile(printed)
		if err != nil {
			t.Fatal(err)
		}
		podman, err := exec.LookPath("podman")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(path)) == podman; got != own {
			t.Errorf("with the host %q the reference CLI gets %s; want podman itself: %t", host, path, own)
		}
	}
}

// podmanWith returns podman with a script in place of the reference CLI, and one of podman's.
func podmanWith(t *testing.T, devcontainer, podman string) builder.Containers {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{"devcontainer": devcontainer, "podman": podman} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+content+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv(builder.CLIVariable, "")
	e, err := builder.Find(t.Context(), builder.Podman)
	if err != nil {
		t.Fatal(err)
	}
	containers, ok := e.(builder.Containers)
	if !ok {
		t.Fatal("podman runs no containers")
	}
	return containers
}

func TestContainerThatIsBeingRemovedIsNone(t *testing.T) {
	e := podmanWith(t, "", `case $1 in
ps) echo a b ;;
inspect) printf '{"Status":"removing","Labels":{"n":"1"}}\n{"Status":"exited","Labels":{"n":"2"}}\n' ;;
esac`)
	found, err := e.ContainerLabels(t.Context(), []string{"n"})
	if diff := cmp.Diff([]map[string]string{{"n": "2"}}, found); err != nil || diff != "" {
		t.Errorf("%v, containers (-want +got):\n%s", err, diff)
	}
}

// TestUpWaitsForBuildsOnlyWhileItBuilds: the lifecycle commands of one environment don't hold another up.
func TestUpWaitsForBuildsOnlyWhileItBuilds(t *testing.T) {
	folder := t.TempDir()
	began, run := filepath.Join(folder, "began"), filepath.Join(folder, "run")
	e := podmanWith(t, "[ -e "+began+" ] && { echo '{\"outcome\":\"success\"}'; exit; }; echo >"+began+"; echo began >&2; "+
		"until [ -e "+run+" ]; do sleep 0.1; done; echo 'Start: Run: podman run --sig-proxy' >&2; sleep 600", "echo store")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error, 1)
	running := &signalled{text: "began", seen: make(chan struct{})}
	go func() {
		_, err := e.Up(ctx, builder.UpRequest{Workspace: "/w", MayBuildFeatures: true, Logs: running})
		first <- err
	}()
	<-running.seen
	waiting := &signalled{text: "Waiting for another build", seen: make(chan struct{})}
	second := make(chan error, 1)
	go func() {
		_, err := e.Up(t.Context(), builder.UpRequest{Workspace: "/w", MayBuildFeatures: true, Logs: waiting})
		second <- err
	}()
	<-waiting.seen
	if _, err := e.Up(t.Context(), builder.UpRequest{Workspace: "/w"}); err != nil {
		t.Errorf("one that builds nothing must not wait: %v", err)
	}
	if err := os.WriteFile(run, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil { // while the first still runs its commands
		t.Errorf("the second ended with %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v", err)
	}
}

// TestBuildsOfOneNameTakeTurns: each reads the ID of its own image by the name.
func TestBuildsOfOneNameTakeTurns(t *testing.T) {
	folder := t.TempDir()
	began, end := filepath.Join(folder, "began"), filepath.Join(folder, "end")
	e := podmanWith(t, "echo built >&2; [ -e "+began+" ] || { echo >"+began+"; until [ -e "+end+" ]; do sleep 0.1; done; }; "+
		"echo '{\"outcome\":\"success\"}'", `[ "$1" = image ] && echo '[{"Id":"sha256:1"}]' || echo store`)
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "base"}`})
	build := func(name string, logs *signalled) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := e.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: name, Logs: logs})
			done <- err
		}()
		return done
	}
	builds := &signalled{text: "built", seen: make(chan struct{})}
	first := build("one:1", builds)
	<-builds.seen
	waits := &signalled{text: "Waiting for another build of one:1", seen: make(chan struct{})}
	second := build("one:1", waits)
	<-waits.seen
	if err := <-build("other:1", &signalled{text: "never"}); err != nil {
		t.Errorf("a build of another name must not wait: %v", err)
	}
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, done := range []chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// signalled is a writer that tells when a text was written.
type signalled struct {
	text string
	seen chan struct{}
	done bool
}

func (s *signalled) Write(p []byte) (int, error) {
	if !s.done && bytes.Contains(p, []byte(s.text)) {
		s.done = true
		close(s.seen)
	}
	return len(p), nil
}
