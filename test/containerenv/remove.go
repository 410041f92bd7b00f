package containerenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Remove ends the containers that still run in the environment that Write made in dir, and removes it with all that
// was built in it. What is gone already is no error.
func Remove(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the container environment's folder: %w", err)
	}
	folders := []string{dir}
	if run, err := os.Readlink(filepath.Join(dir, runLink)); err == nil {
		folders = append(folders, run)
	}
	if _, err := os.Stat(filepath.Join(dir, graphRoot)); err == nil {
		podman := exec.Command("podman", "rm", "--all", "--force", "--time", "0")
		podman.Env = append(os.Environ(), variables(dir)...)
		_ = podman.Run() // what it can't end it can't keep either: its files go
	}
	// The monitor of a container that ended starts podman once more, to clean up, and nobody waits for that.
	const patience = 10 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := removeFolders(folders)
		if err == nil || time.Since(began) > patience || !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
}

// removeFolders removes folders, the last one first.
func removeFolders(folders []string) error {
	if err := UnmountBelow(folders...); err != nil {
		return err
	}
	for _, folder := range slices.Backward(folders) {
		if err := removeAll(folder); err != nil {
			return fmt.Errorf("remove container environment: %w", err)
		}
	}
	return nil
}

// UnmountBelow detaches what an interrupted build or a container leaves mounted; it would keep the folders from going.
func UnmountBelow(folders ...string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var below []string
	for line := range strings.Lines(string(mounts)) {
		// The fifth field is the mount point: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
		fields := strings.Fields(line)
		if len(fields) > 4 && slices.ContainsFunc(folders, func(folder string) bool {
			return strings.HasPrefix(fields[4], folder+"/")
		}) {
			below = append(below, fields[4])
		}
	}
	for _, mount := range slices.Backward(below) {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return nil
}

func removeAll(folder string) error {
	err := os.RemoveAll(folder)
	if errors.Is(err, fs.ErrPermission) {
		// Without root, files of other users in an image belong to IDs that only podman's user namespace may touch.
		if inNamespace := exec.Command("podman", "unshare", "rm", "-rf", folder).Run(); inNamespace == nil {
			return nil
		}
	}
	return err
}
