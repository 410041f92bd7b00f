package tempfolder_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"imagecache.dev/internal/tempfolder"
)

// victimVariable makes a test the victim of another: it makes a folder and waits to be killed.
const victimVariable = "TEMPFOLDER_TEST_VICTIM"

func TestVictim(t *testing.T) {
	if os.Getenv(victimVariable) == "" {
		t.Skip("runs as a part of TestOnlyFoldersOfEndedRunsAreRemoved")
	}
	folder := newFolder(t, tempfolder.Credentials)
	_, _ = os.Stdout.WriteString(folder.Path + "\n")
	time.Sleep(time.Minute)
	_ = folder.Remove() // the folder is in use until here
}

func newFolder(t *testing.T, kind tempfolder.Kind) *tempfolder.Folder {
	t.Helper()
	folder, err := tempfolder.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder.Path, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestOnlyFoldersOfEndedRunsAreRemoved(t *testing.T) {
	parent := t.TempDir()
	t.Setenv("TMPDIR", parent)
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestVictim$")
	victim.Env = append(os.Environ(), victimVariable+"=1")
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	lines.Scan()
	abandoned := lines.Text()

	own := newFolder(t, tempfolder.Layers)
	elsewhere := t.TempDir()
	kept := []string{own.Path, elsewhere}
	for _, name := range []string{"imagecache-engine-1", "imagecache-1", "other-build-1", "build-1"} {
		path := filepath.Join(parent, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, path)
	}
	link := filepath.Join(parent, "imagecache-build-link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	kept = append(kept, link)

	tempfolder.RemoveAbandoned()
	for _, path := range append(kept, abandoned) {
		if !exists(t, path) {
			t.Errorf("%s was removed", path)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	tempfolder.RemoveAbandoned()
	if exists(t, abandoned) {
		t.Errorf("the folder %s of a killed run exists", abandoned)
	}
	for _, path := range kept {
		if !exists(t, path) {
			t.Errorf("%s was removed", path)
		}
	}
	for range 2 {
		if err := own.Remove(); err != nil {
			t.Error(err)
		}
	}
	if exists(t, own.Path) {
		t.Error("the folder exists after its removal")
	}
}

func TestFoldersAreSafeFromRunsThatCleanUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var cleaning sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		cleaning.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					tempfolder.RemoveAbandoned()
				}
			}
		})
	}
	for range 500 {
		folder := newFolder(t, tempfolder.Build)
		if !exists(t, filepath.Join(folder.Path, "config.json")) {
			t.Fatal("a file of a folder in use was removed")
		}
		if err := folder.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	cleaning.Wait()
}

func TestAFolderElsewhereRemovesTheAbandonedOnesThere(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	parent := t.TempDir()
	abandoned := filepath.Join(parent, "imagecache-transfer-1")
	if err := os.Mkdir(abandoned, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := tempfolder.NewIn(parent, tempfolder.Transfer)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(folder.Path) != parent || exists(t, abandoned) {
		t.Errorf("folder %s; want it in %s, without the abandoned one", folder.Path, parent)
	}
	if err := folder.Remove(); err != nil {
		t.Error(err)
	}
}
