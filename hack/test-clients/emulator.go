package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// The account of this run: other than the emulator's defaults, so that nothing fits by chance.
const (
	account = "210987654321"
	region  = "eu-west-1"
	keyID   = "AKIATESTCLIENTS00000"
	secret  = "test-clients-secret"
)

type emulatorProcess struct {
	url, host string
	process   *exec.Cmd
	ended     chan error
}

func startEmulator(ctx context.Context, program string) (*emulatorProcess, error) {
	c := exec.CommandContext(ctx, program, "--account", account, "--region", region, "--access-key-id", keyID, "--secret-access-key", secret,
		"--root-may-assume-roles", "--aws-proxy-endpoint")
	c.Stderr = os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("the emulator said nothing"), c.Wait())
	}
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	if !ok {
		return nil, fmt.Errorf("the emulator said %q", lines.Text())
	}
	e := &emulatorProcess{url: url, host: strings.TrimPrefix(url, "http://"), process: c, ended: make(chan error, 1)}
	go func() {
		for lines.Scan() {
		}
		e.ended <- c.Wait()
	}()
	return e, nil
}

// stop wants a clean end after SIGTERM.
func (e *emulatorProcess) stop() error {
	_ = e.process.Process.Signal(syscall.SIGTERM) // it may have ended already: then Wait says how
	select {
	case err := <-e.ended:
		if err != nil {
			return fmt.Errorf("the emulator's end: %w", err)
		}
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("the emulator did not end within 10 s of SIGTERM"), e.process.Process.Kill())
	}
}
