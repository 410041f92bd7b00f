//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/intake"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// A phase of prepare with an engine. Its run stops there, until it is interrupted.
type enginePhase struct {
	name string
	// needs is the only engine that has the phase; empty: all have it.
	needs engine.Kind
	// stop makes the run stop in the phase. It returns how to wait for that, and how to let the next run pass.
	stop func(t *testing.T, r *engineRun) (reached func() bool, goOn func())
}

var enginePhases = []enginePhase{
	{name: "build", stop: stopInBuild},
	{name: "save", stop: stopInSave},
	{name: "upload", stop: stopInUpload},
	{name: "pull", stop: stopInPull},
	{name: "extract", stop: stopInExtraction},
	// containerd's store leaves out a layer that it has unpacked from another blob, which is loaded afterwards.
	{name: "load", needs: engine.Docker28Containerd, stop: stopInLoad},
}

// endings are how a run is ended early.
var endings = []struct {
	name    string
	signals []syscall.Signal
	// sameAsTERM: these take minutes and go the way of SIGTERM, so they run where all engines are tested.
	// TestRunThatEndsEarlyLeavesNothing sends all of them.
	sameAsTERM bool
}{
	{"SIGTERM", []syscall.Signal{syscall.SIGTERM}, false},
	{"SIGINT", []syscall.Signal{syscall.SIGINT}, true},
	{"SIGHUP", []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP}, true}, // from the shell and from the terminal
	{"SIGKILL", []syscall.Signal{syscall.SIGKILL}, false},
}

// TestRunWithAnEngineThatEndsEarlyLeavesNothing ends prepare in each phase, in each way, with real engines. Afterwards
// no process and no temporary file is left, the engine's store has all of the image or none, and the next run works.
func TestRunWithAnEngineThatEndsEarlyLeavesNothing(t *testing.T) {
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
			e := engine.Start(t, kind, registry.host)
			t.Run("in", func(t *testing.T) { // ends when all below have ended
				for _, phase := range enginePhases {
					if phase.needs != "" && phase.needs != kind {
						continue
					}
					for _, ending := range endings {
						if ending.sameAsTERM && os.Getenv(engine.Variable) != "all" {
							continue
						}
						t.Run(phase.name+" by "+ending.name, func(t *testing.T) {
							t.Parallel()
							r := newEngineRun(t, e, registry, controller, phase.name+"-"+ending.name)
							r.endEarly(t, phase, ending.signals)
						})
					}
				}
			})
			noContainers(t, e)
			if left := e.Run(t, "image", "ls", "--quiet", "--filter", "reference="+intake.Pattern); left != "" {
				t.Errorf("names of pushes are left: %s", left)
			}
		})
	}
}

// engineRun is a run of prepare with an engine.
type engineRun struct {
	engine      *engine.Engine
	registry    *stallRegistry
	controller  *controllerPart
	environment string
	// mark is in the command lines of processes in containers, and in the environment of all other processes.
	mark                           string
	workspace, programs, temporary string
	state                          string // has no record of what was published before
	ready                          string // a file that exists when a run has stopped
	image                          string // the name that the image gets
}

func newEngineRun(t *testing.T, e *engine.Engine, registry *stallRegistry, controller *controllerPart, phase string) *engineRun {
	t.Helper()
	mark := fmt.Sprintf("%s-%s-%d", e.Kind, phase, os.Getpid())
	r := &engineRun{
		engine: e, registry: registry, controller: controller, environment: mark, mark: mark,
		workspace: t.TempDir(), programs: t.TempDir(), state: t.TempDir(), temporary: filepath.Join(t.TempDir(), mark),
		ready: filepath.Join(t.TempDir(), "ready"), image: "imagecache.local/interrupt:" + strings.ToLower(mark),
	}
	if err := os.Mkdir(r.temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	r.writeDockerfile(t, "RUN echo "+mark+" >/mark\n")
	return r
}

func (r *engineRun) writeDockerfile(t *testing.T, steps string) {
	t.Helper()
	for name, content := range map[string]string{
		".devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`,
		"Dockerfile":         "FROM " + r.registry.host + "/base:1\n" + steps,
	} {
		if err := os.WriteFile(filepath.Join(r.workspace, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *engineRun) command(t *testing.T) (*exec.Cmd, *safeBuffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "prepare", r.workspace, "--project", "web", "--environment", r.environment,
		"--builder", r.engine.Kind.Program(), "--tag", r.image)
	path := r.programs
	cmd.Env = os.Environ()
	for _, variable := range r.engine.Environment {
		if folders, found := strings.CutPrefix(variable, "PATH="); found {
			path += ":" + folders
			continue
		}
		cmd.Env = append(cmd.Env, variable)
	}
	if path == r.programs {
		path += ":" + os.Getenv("PATH")
	}
	cmd.Env = append(cmd.Env, programVariable+"=1", "PATH="+path, "TMPDIR="+r.temporary, "READY="+r.ready,
		"XDG_STATE_HOME="+r.state)
	output := &safeBuffer{}
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

// endEarly ends a run in a phase, and looks for what it leaves.
func (r *engineRun) endEarly(t *testing.T, phase enginePhase, signals []syscall.Signal) {
	t.Helper()
	reached, goOn := phase.stop(t, r)
	cmd, output := r.command(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return reached() || strings.Contains(output.String(), "Result:") }, output)
	if strings.Contains(output.String(), "Result:") {
		t.Fatalf("the run did not stop:\n%s", output)
	}
	if phase.name != "extract" && len(processesWith(t, r.mark)) == 0 {
		t.Fatal("no process has the mark, so this test shows nothing")
	}
	for _, signal := range signals {
		if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	killed := slices.Contains(signals, syscall.SIGKILL)
	if code := cmd.ProcessState.ExitCode(); !killed && code != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, cli.ExitInterrupted)
	}
	// Docker's daemon ends a container of a build after its client.
	within(t, func() bool { return len(processesWith(t, r.mark)) == 0 }, &processList{t, r.mark})
	if left := r.leftFiles(t); !killed && len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	r.wholeOrNone(t)
	if t.Failed() {
		t.Log(output)
	}

	goOn()
	next, output := r.command(t)
	if err := next.Run(); err != nil {
		t.Fatalf("the next run: %v\n%s", err, output)
	}
	if strings.Contains(output.String(), " ! ") {
		t.Errorf("the next run did not go well:\n%s", output)
	}
	if left := r.leftFiles(t); len(left) > 0 {
		t.Errorf("the next run leaves temporary files: %q", left)
	}
	if got := r.engine.Run(t, "run", "--rm", r.image, "cat", "/mark"); got != r.mark {
		t.Errorf("the image of the next run says %q, want %q", got, r.mark)
	}
}

// leftFiles are the names of the run's temporary files.
func (r *engineRun) leftFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(r.temporary)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// wholeOrNone fails where the engine has a part of an image under the name: save reads all of it.
func (r *engineRun) wholeOrNone(t *testing.T) {
	t.Helper()
	if r.engine.Command(t.Context(), "image", "inspect", r.image).Run() != nil {
		return
	}
	save := r.engine.Command(t.Context(), "save", r.image)
	var said bytes.Buffer
	save.Stdout, save.Stderr = io.Discard, &said
	if err := save.Run(); err != nil {
		t.Errorf("%s is a half image: %v: %s", r.image, err, said.String())
	}
}

// noContainers fails where the engine has a container: one of a build, or what a build works in.
func noContainers(t *testing.T, e *engine.Engine) {
	t.Helper()
	arguments := []string{"ps", "--all"}
	if e.Kind == engine.Podman {
		arguments = append(arguments, "--external", "--noheading")
	} else {
		arguments = append(arguments, "--quiet")
	}
	if left := e.Run(t, arguments...); left != "" {
		t.Errorf("containers are left:\n%s", left)
	}
}

func stopInBuild(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	step := "sleep 600; : " + r.mark
	r.writeDockerfile(t, "RUN "+step+"\n")
	return func() bool { return len(processesIn(t, step, "cmdline")) > 0 },
		func() { r.writeDockerfile(t, "RUN echo "+r.mark+" >/mark\n") }
}

// stopInSave puts a program before the engine's that passes on the first bytes of an archive, and no more.
func stopInSave(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	program := r.engine.Command(t.Context()).Path
	// containerd's store is read by pushes, podman's by an archive where nothing of the image was published before.
	stop := `if [ "$1" = push ]; then "` + program + `" "$@"; echo >"$READY"; sleep 600; exit 1; fi`
	if r.engine.Kind == engine.Podman {
		stop = `if [ "$1" = save ]; then "` + program + `" "$@" | { head -c 4096; echo >"$READY"; sleep 600; }; exit 1; fi`
	}
	script := "#!/bin/sh\n" + stop + "\n" + `exec "` + program + `" "$@"` + "\n"
	file := filepath.Join(r.programs, r.engine.Kind.Program())
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return func() bool { _, err := os.Stat(r.ready); return err == nil }, func() { _ = os.Remove(file) }
}

func isClosed(reached <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-reached:
			return true
		default:
			return false
		}
	}
}

func stopInUpload(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	stopped, goOn := r.registry.stallAt(stallAfterRequest, http.MethodPatch, strings.ToLower(r.environment)+"/blobs/uploads/")
	return isClosed(stopped), goOn
}

func stopInPull(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	last := r.publish(t, layerOf(t, gzip.BestSpeed, map[string]string{"mark": r.mark, "noise": noise(t)}))
	stopped, goOn := r.registry.stallAt(stallInAnswer, http.MethodGet, last)
	return isClosed(stopped), goOn
}

// stopInExtraction does not stop the engine: its last layer has so many files that it is still being extracted when all
// of its bytes have arrived.
func stopInExtraction(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	const files = 10_000
	content := map[string]string{"mark": r.mark}
	for n := range files {
		content[fmt.Sprintf("many/%d", n)] = ""
	}
	last := r.publish(t, layerOf(t, gzip.BestSpeed, content))
	stopped, goOn := r.registry.stallAt(stallAfterAnswer, http.MethodGet, last)
	return isClosed(stopped), goOn
}

// stopInLoad gives the engine a layer that the image has too, compressed otherwise.
func stopInLoad(t *testing.T, r *engineRun) (reached func() bool, goOn func()) {
	t.Helper()
	content := map[string]string{"mark": r.mark, "noise": noise(t)}
	other, err := mutate.AppendLayers(enginetest.BaseImage(t), layerOf(t, gzip.BestSpeed, content))
	if err != nil {
		t.Fatal(err)
	}
	r.engine.Load(t, other, "localhost/other:"+strings.ToLower(r.environment))
	last := r.publish(t, layerOf(t, gzip.HuffmanOnly, content))
	stopped, goOn := r.registry.stallAt(stallInAnswer, http.MethodGet, last)
	return isClosed(stopped), goOn
}

// publish makes the environment's request a hit of an image with one layer above the base, and returns the layer's
// digest.
func (r *engineRun) publish(t *testing.T, layer v1.Layer) (digest string) {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(enginetest.BaseImage(t), types.DockerManifestSchema2), layer)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(r.controller.repositoryOf(r.environment))
	if err != nil {
		t.Fatal(err)
	}
	of, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference := repository.Digest(of.String())
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	r.controller.cached.Store(r.environment, &v1alpha1.CachedImage{Reference: reference.Name(), Digest: of.String()})
	hash, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// layerOf is a layer of files, compressed at a level.
func layerOf(t *testing.T, level int, files map[string]string) v1.Layer {
	t.Helper()
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil },
		tarball.WithCompressionLevel(level), tarball.WithMediaType(types.DockerLayer))
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
