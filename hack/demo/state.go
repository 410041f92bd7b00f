package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"imagecache.dev/test/containerenv"
)

// projectRoot is the project's folder: the one with go.mod, here or above.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "PROJECT")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run the demo in the project's folder")
		}
	}
}

// assetsFolder is where kube-apiserver, etcd and kubectl are.
func assetsFolder(root string) string {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets
	}
	return filepath.Join(root, "bin", "k8s")
}

// stateVariable names another folder for the state, so that a test of the demo leaves a person's alone.
const stateVariable = "IMAGECACHE_DEMO_STATE"

// keptFolder is the state of the one demo that may be left running.
func keptFolder(root string) string {
	if dir := os.Getenv(stateVariable); dir != "" {
		return dir
	}
	return filepath.Join(root, "bin", "demo-state")
}

// makeStateFolder makes an empty folder for a run.
func makeStateFolder(root string) (string, error) {
	dir := keptFolder(root)
	if err := removeStateFolder(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the demo's folder: %w", err)
	}
	return dir, nil
}

// removeStateFolder removes a run's folder with the image stores of its environments.
func removeStateFolder(dir string) error {
	machines, err := os.ReadDir(filepath.Join(dir, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the demo's folder: %w", err)
	}
	for _, machine := range machines {
		if err := containerenv.Remove(filepath.Join(dir, "machines", machine.Name())); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the demo's folder: %w", err)
	}
	return nil
}

// copyLogs keeps a run's logs.
func copyLogs(dir, to string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		return errors.Join(errors.New("there are no logs"), err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, log := range logs {
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(log)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

const pidsFile = "pids"

// leave says how to look around in what stays, and how to end it.
func (d *demo) leave(ctx context.Context) error {
	if err := d.notePIDs(); err != nil {
		return err
	}
	settings, err := d.writeSettings(ctx)
	if err := errors.Join(err, d.notePIDs()); err != nil { // the settings have an engine of their own
		return err
	}
	prometheus, err := d.cluster.PrometheusConfig(ctx, "5s")
	if err != nil {
		return err
	}
	token, err := d.cluster.MetricsReader(ctx)
	if err != nil {
		return err
	}
	d.screen.step("Everything is left running")
	d.screen.line("export KUBECONFIG=" + d.cluster.AdminKubeconfig)
	d.screen.line("")
	d.screen.line("Or all settings at once, for a shell in which to look around and to prepare workspaces:")
	d.screen.line("  . " + settings)
	d.screen.line("  kubectl get imagecache -n " + namespace)
	d.screen.line("  imagecache prepare YOUR-WORKSPACE --project shop --environment mine-1")
	d.screen.line("  imagecache dashboard               # whether it works, what it saves, what it holds")
	d.screen.line("  curl -sk -H \"Authorization: Bearer $(cat " + token + ")\" " + d.cluster.Metrics + " | grep ^imagecache_")
	d.screen.line("  prometheus --config.file=" + prometheus + " --storage.tsdb.path=" + filepath.Join(d.dir, "prometheus"))
	d.screen.line("  aws ecr describe-repositories      # if you have the aws command")
	d.screen.line("")
	d.screen.line("End it with: make demo-stop")
	return nil
}

// notePIDs notes which processes "demo stop" ends.
func (d *demo) notePIDs() error {
	pids := d.cluster.PIDs()
	for _, e := range d.engines {
		pids = append(pids, strconv.Itoa(e.PID()))
	}
	if err := os.WriteFile(filepath.Join(d.dir, pidsFile), []byte(strings.Join(pids, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the processes: %w", err)
	}
	return nil
}

// writeSettings writes a file for a shell to read: the cluster, AWS, and a container engine's settings of its own.
func (d *demo) writeSettings(ctx context.Context) (path string, err error) {
	env, err := d.environment(ctx, "mine")
	if err != nil {
		return "", err
	}
	env = append(env, d.cluster.AWSEnvironment()...)
	env = append(env, "KUBECONFIG="+d.cluster.AdminKubeconfig, "IMAGECACHE_NAMESPACE="+namespace)
	var file strings.Builder
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&file, "export %s='%s'\n", name, value)
	}
	fmt.Fprintf(&file, "export PATH='%s:%s':\"$PATH\"\n", assetsFolder(d.root), filepath.Join(d.root, "bin"))
	path = filepath.Join(d.dir, "env")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		return "", fmt.Errorf("write settings: %w", err)
	}
	return path, nil
}

// stopKept ends what an earlier demo left running, if it did.
func stopKept(root string) error {
	dir := keptFolder(root)
	content, err := os.ReadFile(filepath.Join(dir, pidsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what an earlier demo left: %w", err)
	}
	for _, text := range strings.Fields(string(content)) {
		pid, err := strconv.Atoi(text)
		if err != nil || !runsIn(pid, dir) {
			continue
		}
		if err := end(pid); err != nil {
			return err
		}
	}
	return removeStateFolder(dir)
}

// runsIn says whether a process is one that the demo started: one whose output goes to a log in its folder.
func runsIn(pid int, dir string) bool {
	output, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", pid))
	return err == nil && filepath.Dir(output) == dir
}

// end asks a process to end and waits for it.
func end(pid int) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for range 100 {
			if !signalled(pid, signal) {
				return nil
			}
			time.Sleep(100 * time.Millisecond)
			signal = 0 // only asks whether it is there
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// signalled sends a signal, and says whether there was a process to take it.
func signalled(pid int, signal syscall.Signal) bool {
	return syscall.Kill(pid, signal) == nil
}
