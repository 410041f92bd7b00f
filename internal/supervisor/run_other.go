//go:build !linux

package supervisor

import (
	"errors"
	"os/exec"
	"sync/atomic"
	"syscall"
)

// Run is cmd.Run in a process group, for a command that exec.CommandContext made. When the context ends, Run ends the
// program and what it started in its group. When this process is killed, they stay.
func Run(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var ended atomic.Bool
	cmd.Cancel = func() error {
		ended.Store(true)
		return signalGroup(cmd.Process.Pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = stopGrace
	err := cmd.Run()
	if ended.Load() {
		_ = signalGroup(cmd.Process.Pid, syscall.SIGKILL)
	}
	return err
}

// RunKeepingContainers is Run. Engines don't run containers in the group of a program here.
func RunKeepingContainers(cmd *exec.Cmd) error { return Run(cmd) }

// signalGroup signals every process of a group. One that is gone is no error.
func signalGroup(leader int, signal syscall.Signal) error {
	if err := syscall.Kill(-leader, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
