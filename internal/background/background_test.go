//go:build linux

package background

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// processVariable makes the test's program the process of a publication, which behaves as the variable says.
const processVariable = "BACKGROUND_TEST_PROCESS"

// value is what the tests give to the process.
type value struct {
	Secret string
	// Gate is a path: the process goes on when it is a pipe that has been closed.
	Gate string
}

func TestMain(m *testing.M) {
	if how := os.Getenv(processVariable); how != "" {
		if err := publish(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// publish is the process of a publication.
func publish(how string) error {
	if how == "ends" {
		return errors.New("it ends at once")
	}
	var given value
	taken, err := Take(&given)
	if err != nil {
		return err
	}
	if how == "refuses" {
		return taken.Refuse(errors.New("no engine"))
	}
	if how == "is silent" {
		select {}
	}
	if err := taken.Hold(); err != nil {
		return taken.Finish(Failed, "", err.Error(), time.Now())
	}
	fmt.Println("secret of", len(given.Secret), "characters")
	if _, err := os.ReadFile(given.Gate); err != nil { // until its writer closes it
		return err
	}
	return taken.Finish(Published, "r@sha256:1", "", time.Now())
}

// gate makes a named pipe. The process waits until open is called.
func gate(t *testing.T) (path string, open func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
}

func newFolder(t *testing.T) Folder {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	folder, err := UserFolder()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func someRecord() Record {
	return Record{Name: "env-1-abc", Project: "web", Hash: "4f3c", Environment: "env-1", Began: time.Now().UTC(), KeptName: "kept:1"}
}

// processOf returns the ID of the process that a mark in a folder's name leads to: it has the log open.
func processOf(t *testing.T, log string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/1")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == log {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err == nil {
				return pid
			}
		}
	}
	t.Fatal("no process has the log open")
	return 0
}

func TestPublicationIsListedAndAwaited(t *testing.T) {
	folder := newFolder(t)
	t.Setenv(processVariable, "publishes")
	path, open := gate(t)
	secret := "a-secret-of-28-characters-xx"
	record, err := folder.Start(t.Context(), someRecord(), []string{"publications", "run"}, value{secret, path})
	if err != nil {
		t.Fatal(err)
	}
	records, err := folder.List()
	if err != nil || len(records) != 1 || records[0].State != Running {
		t.Fatalf("records %+v, %v", records, err)
	}
	process := processOf(t, record.Log)
	if session, err := syscall.Getpgid(process); err != nil || session != process {
		t.Errorf("the process is in group %d, %v: a signal to prepare's would end it", session, err)
	}
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process))
	if got := string(bytes.ReplaceAll(bytes.TrimRight(command, "\x00"), []byte{0}, []byte{' '})); got != "imagecache publications run" {
		t.Errorf("command line %q", got)
	}
	early, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("time is up"))
	defer cancel()
	if _, err := folder.Wait(early, record.Name); err == nil || err.Error() != "time is up" {
		t.Errorf("Wait: %v", err)
	}
	open()
	got, err := folder.Wait(t.Context(), record.Name)
	if err != nil || got.Ended == nil {
		t.Fatalf("Wait: %+v, %v", got, err)
	}
	want := record
	want.State, want.Reference, want.Ended = Published, "r@sha256:1", got.Ended // the name is kept until Settle
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	log, err := os.ReadFile(record.Log)
	if err != nil || string(log) != "secret of 28 characters\n" {
		t.Errorf("log %q, %v", log, err)
	}
	files, _ := filepath.Glob(filepath.Join(folder.path, "*"))
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s: %v, %s", file, err, content)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v", file, info.Mode())
		}
	}
}

func TestKilledPublicationIsAbandoned(t *testing.T) {
	folder := newFolder(t)
	t.Setenv(processVariable, "publishes")
	path, _ := gate(t)
	record, err := folder.Start(t.Context(), someRecord(), nil, value{"", path})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(processOf(t, record.Log), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	got, err := folder.Wait(t.Context(), record.Name)
	if err != nil || got.State != Abandoned || got.KeptName != "kept:1" || got.Reason == "" {
		t.Errorf("record %+v, %v", got, err)
	}
	if err := folder.Settle(got); err != nil {
		t.Fatal(err)
	}
	if got, err = folder.Read(record.Name); err != nil || got.State != Abandoned || got.KeptName != "" {
		t.Errorf("record %+v, %v", got, err)
	}
}

func TestProcessThatDoesNotTakeOverLeavesNothing(t *testing.T) {
	tests := map[string]string{"refuses": "start publication: no engine", "ends": "start publication: its process ended: EOF", "is silent": "start publication: interrupted"}
	for how, want := range tests {
		t.Run(how, func(t *testing.T) {
			folder := newFolder(t)
			t.Setenv(processVariable, how)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if how == "is silent" {
				cancel(errors.New("interrupted"))
			}
			if _, err := folder.Start(ctx, someRecord(), nil, value{}); err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if files, err := filepath.Glob(filepath.Join(folder.path, "*")); err != nil || len(files) > 0 {
				t.Errorf("files %q, %v", files, err)
			}
		})
	}
}

// A caller often waits for the end of a pipe that prepare inherited.
func TestProcessInheritsNoOpenFile(t *testing.T) {
	folder := newFolder(t)
	t.Setenv(processVariable, "publishes")
	path, open := gate(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := syscall.Dup(int(writer.Fd())) // without close-on-exec, as from a shell
	if err != nil {
		t.Fatal(err)
	}
	record, err := folder.Start(t.Context(), someRecord(), nil, value{"", path})
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(inherited)
	_ = writer.Close()
	if _, err := io.ReadAll(reader); err != nil { // blocks where the process has the pipe
		t.Error(err)
	}
	open()
	if got, err := folder.Wait(t.Context(), record.Name); err != nil || got.State != Published {
		t.Errorf("record %+v, %v", got, err)
	}
}

func TestTwoRecordsOfOneNameAreTwo(t *testing.T) {
	folder := newFolder(t)
	names := map[string]bool{}
	for range 3 {
		record := someRecord()
		lock, err := folder.create(&record)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = lock.Close() }()
		names[record.Name] = true
	}
	if diff := cmp.Diff(map[string]bool{"env-1-abc": true, "env-1-abc-2": true, "env-1-abc-3": true}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestOnlyPrepareStartsTheProcess(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), processVariable+"=publishes")
	out, err := command.CombinedOutput()
	if err == nil || strings.TrimSpace(string(out)) != errNotStarted.Error() {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOldFinishedRecordsExpire(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	record := func(name string, state State, age time.Duration) Record {
		return Record{Name: name, State: state, Began: now.Add(-age)}
	}
	records := []Record{
		record("old but running", Running, 30*24*time.Hour), record("old", Published, 8*24*time.Hour),
		record("abandoned", Abandoned, 8*24*time.Hour), record("young", Failed, 6*24*time.Hour),
	}
	if diff := cmp.Diff([]string{"abandoned", "old"}, expired(records, now)); diff != "" {
		t.Errorf("expired (-want +got):\n%s", diff)
	}
	kept := record("kept", Published, 8*24*time.Hour)
	kept.KeptName = "kept:1"
	longKept := record("kept for long", Abandoned, 31*24*time.Hour)
	longKept.KeptName = "kept:2"
	if diff := cmp.Diff([]string{"kept for long"}, expired([]Record{longKept, kept}, now)); diff != "" {
		t.Errorf("expired (-want +got):\n%s", diff)
	}
	records = nil
	for i := range maxFinished + 2 {
		records = append(records, record(fmt.Sprint(i), Published, time.Hour-time.Duration(i)*time.Second))
	}
	if diff := cmp.Diff([]string{"1", "0"}, expired(records, now)); diff != "" {
		t.Errorf("expired (-want +got):\n%s", diff)
	}
}

func TestPruneRemovesAllFilesOfARecord(t *testing.T) {
	folder := newFolder(t)
	record := someRecord()
	record.KeptName = ""
	lock, err := folder.create(&record)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(maxAge + time.Hour)
	folder.Prune(later)
	if _, err := folder.Read(record.Name); err != nil {
		t.Errorf("a running one is gone: %v", err)
	}
	_ = lock.Close()
	folder.Prune(later)
	if files, err := filepath.Glob(filepath.Join(folder.path, "*")); err != nil || len(files) > 0 {
		t.Errorf("files %q, %v", files, err)
	}
	if _, err := folder.Read(record.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read: %v", err)
	}
	if _, err := folder.Read("../" + record.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of a path: %v", err)
	}
}

func TestRecordThatCannotBeReadHidesNoOther(t *testing.T) {
	folder := newFolder(t)
	record := someRecord()
	record.State = Published
	if err := os.MkdirAll(folder.path, 0o700); err != nil {
		t.Fatal(err)
	}
	broken := folder.file("broken", recordSuffix)
	if err := errors.Join(folder.write(record), os.WriteFile(broken, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	records, err := folder.List()
	if len(records) != 1 || err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("records %+v, %v", records, err)
	}
	record.KeptName = ""
	if err := folder.write(record); err != nil {
		t.Fatal(err)
	}
	folder.Prune(time.Now().Add(maxAge + time.Hour))
	if records, _ := folder.List(); len(records) > 0 {
		t.Errorf("records %+v are left", records)
	}
}

func TestUserFolderFollowsTheSpecification(t *testing.T) {
	tests := map[string]string{"/state": "/state/imagecache/publications", "": "/home/me/.local/state/imagecache/publications", "relative": "/home/me/.local/state/imagecache/publications"}
	t.Setenv("HOME", "/home/me")
	for state, want := range tests {
		t.Setenv("XDG_STATE_HOME", state)
		if got, err := UserFolder(); err != nil || got.path != want {
			t.Errorf("XDG_STATE_HOME=%q: %s, %v; want %s", state, got.path, err, want)
		}
	}
}
