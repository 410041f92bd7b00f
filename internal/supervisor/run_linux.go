package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Run is cmd.Run below a supervisor, for a command that exec.CommandContext made. When the context ends, Run ends the
// program and everything that it started, and waits for that. The program has no controlling terminal: what asks for a
// password there fails at once, and does not stop.
func Run(cmd *exec.Cmd) error { return run(cmd, commandName) }

// RunKeepingContainers is Run for a program that starts containers. They stay when the context ends, whether the engine
// runs them below the program, as podman does, or elsewhere.
func RunKeepingContainers(cmd *exec.Cmd) error { return run(cmd, keepingName) }

func run(cmd *exec.Cmd, as string) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	life, hold, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = hold.Close() }()
	cmd.Args = append([]string{as, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = ownExecutable
	cmd.ExtraFiles = []*os.File{life}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = hold.Close
	cmd.WaitDelay = 2 * stopGrace // the supervisor needs less
	err = cmd.Start()
	_ = life.Close()
	if err != nil {
		return err
	}
	return cmd.Wait()
}
