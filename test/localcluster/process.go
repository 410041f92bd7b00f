package localcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a program may take to end before it is killed.
const stopTimeout = 10 * time.Second

// process is a program that runs in the background. Its output goes to a file, so that it can outlive this process.
type process struct {
	name    string
	logPath string
	command *exec.Cmd
	done    chan struct{}
	err     error
}

// start runs a program in a process group of its own, so that a terminal's Ctrl-C reaches this process alone, which
// then ends its programs in order.
func start(dir, name string, env []string, program string, args ...string) (*process, error) {
	logPath := filepath.Join(dir, name+".log")
	output, err := os.OpenFile(logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer output.Close()
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, logPath: logPath, command: command, done: make(chan struct{})}
	go func() {
		if p.err = command.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
		close(p.done)
	}()
	return p, nil
}

// stop asks the program to end, and kills it if it doesn't.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.done
	}
}

// until calls ready until it succeeds. It ends early when the program ends or the context does, and says then what the
// program printed last.
func (p *process) until(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%w): %s", p.name, p.err, p.lastLine())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w; last: %w); its log is %s", p.name, ctx.Err(), last, p.logPath)
		case <-tick.C:
		}
	}
}

// lastLine is the last line that the program printed.
func (p *process) lastLine() string {
	file, err := os.Open(p.logPath)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	last := "it printed nothing"
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if text := strings.TrimSpace(scanner.Text()); text != "" {
			last = text
		}
	}
	return last
}

// firstLine waits for the first whole line that the program printed.
func (p *process) firstLine(ctx context.Context) (string, error) {
	var line string
	err := p.until(ctx, func(context.Context) error {
		file, err := os.Open(p.logPath)
		if err != nil {
			return err
		}
		defer file.Close()
		line, err = bufio.NewReader(file).ReadString('\n')
		if errors.Is(err, io.EOF) {
			return errors.New("it has printed nothing yet")
		}
		return err
	})
	return strings.TrimSpace(line), err
}
