package world

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Process is the product's own program, as a process of its own.
type Process struct {
	command *exec.Cmd
	ended   chan struct{} // closed once the process has ended
}

// arguments are those of config/manager/deployment.yaml, with addresses and a namespace that exist here.
var arguments = []string{
	"--leader-elect", "--leader-election-namespace=" + ManagerNamespace, "--namespace=" + ManagerNamespace, "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0",
}

// StartProcess starts bin/manager against the world as it runs in production. folder takes its kubeconfig and its log.
// Settings of Go's memory that this shell happens to have are left out, because the deployment has none: the manager
// sets its own.
// more are arguments besides those of the deployment.
func (w *World) StartProcess(folder string, more ...string) (*Process, error) {
	return w.StartProgram(folder, "manager", slices.Concat(arguments, more)...)
}

// StartProgram starts a program of bin against the world. folder takes its kubeconfig and its output, PROGRAM.log.
func (w *World) StartProgram(folder, program string, args ...string) (*Process, error) {
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := w.WriteKubeconfig(kubeconfig, ""); err != nil {
		return nil, err
	}
	command := exec.Command(filepath.Join("bin", program), args...)
	command.Env = slices.DeleteFunc(append(os.Environ(), "KUBECONFIG="+kubeconfig), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "GOGC" || name == "GOMEMLIMIT" || name == "GODEBUG" || name == "GOMAXPROCS"
	})
	for name, value := range w.settings() {
		command.Env = append(command.Env, name+"="+value)
	}
	log, err := os.Create(filepath.Join(folder, program+".log"))
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", program, err)
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = command.Start()
	_ = log.Close() // the program has its own handle
	if err != nil {
		return nil, fmt.Errorf("start bin/%s (make build makes it): %w", program, err)
	}
	p := &Process{command: command, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // it is told to end, and that is how it ends
	}()
	return p, nil
}

// WriteKubeconfig writes a file by which programs reach the API server, in a namespace or, if that is empty, in default.
func (w *World) WriteKubeconfig(path, namespace string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: w.Config.Host, CertificateAuthorityData: w.Config.CAData}
	config.AuthInfos["bench"] = &clientcmdapi.AuthInfo{ClientCertificateData: w.Config.CertData, ClientKeyData: w.Config.KeyData}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench", Namespace: namespace}
	config.CurrentContext = "bench"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// Stop ends the manager, by force if it doesn't go in ten seconds. It may be called again.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the manager: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the manager: %w", err)
	}
	<-p.ended
	return nil
}

// ticks is how many units of CPU time a second has in /proc, on every Linux that Go runs on.
const ticks = 100

// CPUSeconds is the CPU time that the process has taken so far.
func (p *Process) CPUSeconds() (float64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the manager's CPU time: %w", err)
	}
	// The name of the program, in parentheses, may have spaces. User and system time are the 14th and 15th field.
	_, rest, _ := strings.Cut(string(content), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("read the manager's CPU time: too few fields")
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, fmt.Errorf("read the manager's CPU time: %w", err)
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	if err != nil {
		return 0, fmt.Errorf("read the manager's CPU time: %w", err)
	}
	return (user + system) / ticks, nil
}

// Memory is a line of the process's status in MB: VmRSS, what it holds, or VmHWM, the most that it ever held.
func (p *Process) Memory(line string) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the manager's memory: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		rest, found := strings.CutPrefix(scanner.Text(), line+":")
		if !found {
			continue
		}
		kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if err != nil {
			return 0, fmt.Errorf("read the manager's memory: %w", err)
		}
		return kilobytes / 1024, nil
	}
	return 0, fmt.Errorf("the manager's status has no line %s", line)
}
