//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/background"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/publication"
)

// gate is a registry that holds what is uploaded until it is opened.
type gate struct {
	host  string
	store http.Handler

	once  sync.Once
	began chan struct{} // closed when something is uploaded
	open  chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{
		store: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		began: make(chan struct{}), open: make(chan struct{}),
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.host = strings.TrimPrefix(server.URL, "http://")
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		g.once.Do(func() { close(g.began) })
		select {
		case <-g.open:
		case <-r.Context().Done():
			return
		}
	}
	g.store.ServeHTTP(w, r)
}

// publicationWorld is a cluster whose controller publishes, and a machine. Its programs are processes.
type publicationWorld struct {
	*prepareWorld
	t     *testing.T
	gate  *gate
	state string
	temp  string
	cache *v1alpha1.CachedImage // what was published
}

const pushRepository = "projects/web/image-build"

func newPublicationWorld(t *testing.T) *publicationWorld {
	t.Helper()
	w := &publicationWorld{
		prepareWorld: newPrepareWorld(t, bypassedStatus()), t: t, gate: newGate(t), state: t.TempDir(), temp: t.TempDir(),
	}
	t.Setenv("XDG_STATE_HOME", w.state)
	w.server.mu.Lock() // other processes ask, and the race detector does not see them
	defer w.server.mu.Unlock()
	w.server.add(loginSecret("push", w.gate.host))
	w.server.add(loginSecret("pull", w.gate.host))
	w.server.answer, w.server.report = w.answer, w.report
	return w
}

// asMap is an object as JSON has it.
func asMap(t *testing.T, object any) map[string]any {
	t.Helper()
	converted, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	return converted
}

// answer is a hit once something is published. Before, each request becomes a builder with a Lease of its own.
func (w *publicationWorld) answer(request map[string]any) map[string]any {
	if w.cache != nil {
		status := hitStatus()
		status.Image = w.cache
		status.PullCredentials = &v1alpha1.CredentialReference{SecretName: "pull"}
		return asMap(w.t, &status)
	}
	metadata, _ := request["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	w.server.objects["/apis/coordination.k8s.io/v1/namespaces/"+testNamespace+"/leases/"+name] = asMap(w.t, &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, ResourceVersion: "1"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To(name + "/uid-1")},
	})
	return asMap(w.t, &v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder,
		Builder: &v1alpha1.BuilderReference{Name: name, LeaseName: name},
	})
}

// report asks for an upload after a build was reported, and publishes after the upload.
func (w *publicationWorld) report(request map[string]any) {
	var image v1alpha1.DevcontainerImage
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(request, &image); err != nil {
		w.t.Error(err)
		return
	}
	build := image.Spec.Build
	if build == nil || build.Outcome != v1alpha1.BuildSucceeded {
		return
	}
	checked, rejection := publication.Check(
		publication.Report{Manifest: []byte(build.Manifest), Config: []byte(build.Config)},
		publication.Expectation{Hash: image.Spec.ConfigHash, HashVersion: 1, UID: string(image.UID), Platform: image.Spec.Platform})
	if rejection != nil {
		w.t.Errorf("the report is rejected: %v", rejection)
		return
	}
	status := &image.Status
	if ptr.Deref(image.Spec.UploadAttempt, 0) == 0 {
		status.RepositoryURI, status.MissingLayers = w.gate.host+"/"+pushRepository, checked.Blobs
		status.PushCredentials = &v1alpha1.CredentialReference{SecretName: "push"}
		status.ObservedUploadAttempt = ptr.To(int32(0))
		status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonUploading}}
	} else {
		digest := w.putManifest(build.Manifest)
		w.cache = &v1alpha1.CachedImage{Reference: w.gate.host + "/" + pushRepository + "@" + digest, Digest: digest, BuildSeconds: ptr.To(int64(60))}
		status.Image, status.PushCredentials, status.MissingLayers = w.cache, nil, nil
		status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPublished}}
	}
	request["status"] = asMap(w.t, status)
}

func (w *publicationWorld) putManifest(manifest string) (digest string) {
	digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest)))
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPut, "/v2/"+pushRepository+"/manifests/"+digest, strings.NewReader(manifest))
	request.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	w.gate.store.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusCreated {
		w.t.Errorf("put manifest: %d %s", recorder.Code, recorder.Body)
	}
	return digest
}

// run runs the program to its end, and the end of its output: a process in the background must not hold that.
func (w *publicationWorld) run(line string) (code int, stdout, stderr string) {
	w.t.Helper()
	w.server.handOver()
	command := exec.CommandContext(w.t.Context(), os.Args[0], w.argumentsOf(line)[1:]...)
	command.Env = append(os.Environ(), programVariable+"=1", "TMPDIR="+w.temp)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	_ = command.Run()
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

// prepareInBackground prepares, and returns the publication's record, whose upload is held.
func (w *publicationWorld) prepareInBackground() background.Record {
	w.t.Helper()
	code, stdout, stderr := w.run(prepareLine("--builder embedded --publish background --exit-code --token kubectl-secret"))
	if code != cli.ExitPublishing || !strings.Contains(stdout, "is being published; see imagecache publications wait env-9-") {
		w.t.Fatalf("exit code %d:\n%s\n%s", code, stdout, stderr)
	}
	<-w.gate.began
	records := w.records()
	if len(records) == 0 || records[len(records)-1].State != background.Running {
		w.t.Fatalf("records %+v, want one that is running", records)
	}
	return records[len(records)-1]
}

func (w *publicationWorld) records() []background.Record {
	w.t.Helper()
	code, stdout, stderr := w.run("publications -o json")
	var records []background.Record
	if err := json.Unmarshal([]byte(stdout), &records); err != nil || code != cli.ExitSuccess {
		w.t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	return records
}

// process returns the ID of a publication's process, which has the log as its output.
func (w *publicationWorld) process(record background.Record) int {
	w.t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/1")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, link := range links {
		var pid int
		if target, err := os.Readlink(link); err == nil && target == record.Log {
			if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err == nil {
				return pid
			}
		}
	}
	w.t.Fatal("no process publishes")
	return 0
}

// waitForLast waits for the end of the newest publication's process, which tidies up after its record has ended: without
// a name, the command waits for no record that has.
func (w *publicationWorld) waitForLast() {
	w.t.Helper()
	records := w.records()
	name := records[len(records)-1].Name
	if code, _, stderr := w.run("publications wait " + name); code != cli.ExitSuccess {
		w.t.Errorf("wait: exit code %d, %s", code, stderr)
	}
}

func (w *publicationWorld) temporary() []string {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(w.temp, "imagecache-*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return left
}

func TestPrepareReturnsBeforeThePublicationEnds(t *testing.T) {
	w := newPublicationWorld(t)
	record := w.prepareInBackground()
	if record.Project != "web" || record.Environment != "env-9" || len(record.Hash) != 64 || record.Image == "" {
		t.Errorf("record %+v", record)
	}
	process := w.process(record)
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process)); err != nil || bytes.Contains(line, []byte("secret")) {
		t.Errorf("command line %q, %v", line, err)
	}
	if code, stdout, stderr := w.run("publications wait --timeout 10ms"); code != cli.ExitFailed || stdout != "" || !strings.Contains(stderr, "did not end within 10ms; it goes on") {
		t.Errorf("wait: exit code %d, %q %q", code, stdout, stderr)
	}
	close(w.gate.open)
	code, stdout, stderr := w.run("publications wait " + record.Name)
	if want := "Published " + record.Name + " " + w.gate.host + "/" + pushRepository + "@sha256:"; code != cli.ExitSuccess || !strings.HasPrefix(stdout, want) {
		t.Errorf("wait: exit code %d, %q %q; want %s", code, stdout, stderr, want)
	}
	if code, stdout, _ := w.run("publications"); code != cli.ExitSuccess || !strings.Contains(stdout, record.Name) || !strings.Contains(stdout, "Published") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	logged, err := os.ReadFile(record.Log)
	if err != nil || !strings.Contains(string(logged), "Uploaded 4 of 4 blobs") || strings.Contains(string(logged), "secret") {
		t.Errorf("log %s, %v", logged, err)
	}
	if left := w.temporary(); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	if code, stdout, stderr := w.run(prepareLine("--pull oci:IMAGES --exit-code")); code != cli.ExitSuccess || !strings.Contains(stdout, "⚡️") {
		t.Errorf("the second environment: exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestKilledPublicationIsAbandonedAndTidiedUp(t *testing.T) {
	w := newPublicationWorld(t)
	record := w.prepareInBackground()
	if len(w.temporary()) == 0 {
		t.Fatal("the publication has no temporary files, so this test shows nothing")
	}
	if err := syscall.Kill(w.process(record), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := w.run("publications wait " + record.Name)
	if code != cli.ExitFailed || stdout != "Abandoned "+record.Name+"\n" || !strings.Contains(stderr, "is Abandoned: its process was killed; its log is "+record.Log) {
		t.Errorf("wait: exit code %d, %q %q", code, stdout, stderr)
	}
	images := func() string {
		index, err := os.ReadFile(filepath.Join(os.Getenv(builder.StoreVariable), "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(index)
	}
	if !strings.Contains(images(), record.KeptName) {
		t.Fatalf("nothing keeps the image: %s", images())
	}
	close(w.gate.open)
	if code, stdout, stderr := w.run(prepareLine("--builder embedded --publish background")); code != cli.ExitSuccess {
		t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	w.waitForLast()
	if left := w.temporary(); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	if index := images(); strings.Contains(index, "imagecache.local/publication:") {
		t.Errorf("an image is still kept: %s", index)
	}
	if records := w.records(); len(records) != 2 || records[0].State != background.Abandoned || records[0].KeptName != "" {
		t.Errorf("records %+v", records)
	}
}

func TestAbandonedPublicationOfAnotherEngineIsTidiedUp(t *testing.T) {
	w := newPublicationWorld(t)
	close(w.gate.open)
	programs := t.TempDir()
	calls := filepath.Join(programs, "calls")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\n", calls)
	if err := os.WriteFile(filepath.Join(programs, builder.Podman), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	folder := filepath.Join(os.Getenv("XDG_STATE_HOME"), "imagecache", "publications")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const record = `{"name": "old", "state": "Running", "engine": "podman", "keptName": "imagecache.local/publication:old"}`
	if err := os.WriteFile(filepath.Join(folder, "old.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := w.run(prepareLine("--builder embedded --publish background")); code != cli.ExitSuccess {
		t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	w.waitForLast()
	called, err := os.ReadFile(calls)
	if err != nil || !strings.Contains(string(called), "rmi imagecache.local/publication:old\n") {
		t.Errorf("podman was called with %q, %v: the image stays for good when its record expires", called, err)
	}
}

func TestTerminatedPublicationFails(t *testing.T) {
	w := newPublicationWorld(t)
	record := w.prepareInBackground()
	if err := syscall.Kill(w.process(record), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := w.run("publications wait " + record.Name)
	if code != cli.ExitFailed || stdout != "Failed "+record.Name+"\n" || !strings.Contains(stderr, "is Failed: interrupted") {
		t.Errorf("wait: exit code %d, %q %q", code, stdout, stderr)
	}
	w.server.mu.Lock()
	lease := w.server.objects["/apis/coordination.k8s.io/v1/namespaces/"+testNamespace+"/leases/"+record.Name]
	w.server.mu.Unlock()
	if holder := lease["spec"].(map[string]any)["holderIdentity"]; holder != "released/by-its-builder" {
		t.Errorf("the Lease is held by %v", holder)
	}
	if left := w.temporary(); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

// The image goes to a folder, and the builder's store still has it for the publication.
func TestPublicationInTheBackgroundWithAnotherDestination(t *testing.T) {
	w := newPublicationWorld(t)
	close(w.gate.open)
	code, stdout, stderr := w.run(prepareLine("--builder embedded --pull oci:IMAGES --publish background --exit-code"))
	if code != cli.ExitPublishing || !strings.Contains(stdout, "Image:  oci:") {
		t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	name := w.records()[0].Name
	if code, stdout, stderr := w.run("publications wait " + name); code != cli.ExitSuccess || !strings.HasPrefix(stdout, "Published "+name) {
		t.Errorf("wait: exit code %d, %q %q", code, stdout, stderr)
	}
}

func TestPublicationsThatAreNotThere(t *testing.T) {
	w := newPublicationWorld(t)
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"publications":                                      {cli.ExitSuccess, "No publications in the background on this machine."},
		"publications -o json":                              {cli.ExitSuccess, "[]"},
		"publications wait":                                 {cli.ExitSuccess, ""},
		"publications wait nope":                            {cli.ExitUsage, `no publication "nope" on this machine; see imagecache publications`},
		"publications wait ../publications/x":               {cli.ExitUsage, "no publication"},
		"publications run":                                  {cli.ExitFailed, "only imagecache prepare --publish=background starts this command"},
		"publications nope":                                 {cli.ExitUsage, "unknown command"},
		"prepare WORKSPACE --environment e --publish later": {cli.ExitUsage, `--publish must be wait or background, not "later"`},
	} {
		if code, stdout, stderr := w.run(line); code != want.code || !strings.Contains(stdout+stderr, want.text) {
			t.Errorf("%s: exit code %d, %q %q; want %d, %q", line, code, stdout, stderr, want.code, want.text)
		}
	}
}

// Without a place for records the image is published as by default.
func TestPublicationWithoutAStateFolderIsPublishedHere(t *testing.T) {
	w := newPublicationWorld(t)
	close(w.gate.open)
	file := filepath.Join(w.state, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", file)
	code, stdout, stderr := w.run(prepareLine("--builder embedded --publish background --exit-code"))
	if code != cli.ExitPublished || !strings.Contains(stdout, "publishing here and not in the background: make publication: ") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}
