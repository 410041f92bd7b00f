// Package containerenv makes what demo and tests build containers with: a podman that shares nothing with
// the machine's own, and a base image that needs no registry.
package containerenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"
)

// Options of a podman environment. The zero value is an environment without registries of its own.
type Options struct {
	// InsecureRegistries are the registries that speak plain HTTP, as host:port.
	InsecureRegistries []string
	// StandIns are repositories that speak plain HTTP and that are used in place of Docker Hub's official images, by the
	// images' names, such as busybox.
	StandIns map[string]string
}

// Write writes a private podman configuration into dir, which it makes, and returns the environment variables
// ("NAME=value") under which podman uses it. Images and containers live below dir and are seen by nobody else,
// so environments with different folders can build at the same time. Docker ignores all of it.
//
// The folder is removed by Remove alone. Writing it again keeps its images.
func Write(dir string, o Options) (env []string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the container environment's folder: %w", err)
	}
	limits, err := ulimits()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make container environment: %w", err)
	}
	run, err := runRoot(dir)
	if err != nil {
		return nil, err
	}
	settings := settings{
		Dir:        dir,
		Run:        run,
		Runtime:    ociRuntime(),
		Ulimits:    limits,
		Driver:     "overlay",
		Registries: o.InsecureRegistries,
		StandIns:   o.StandIns,
	}
	env = variables(dir)
	if err := settings.write(); err != nil {
		return nil, err
	}
	if !usable(env) {
		// An overlay on an overlay, as in a container, is what kernels refuse. Copies always work.
		settings.Driver = "vfs"
		if err := settings.write(); err != nil {
			return nil, err
		}
	}
	return env, nil
}

const (
	containersConf = "containers.conf"
	storageConf    = "storage.conf"
	registriesConf = "registries.conf"
	graphRoot      = "storage"
	runLink        = "run"
)

// runRoot returns the folder for the state of running containers, which dir links to. It is not in dir because podman
// waits 20 s at the end of each container when its path is longer than about 50 characters.
func runRoot(dir string) (string, error) {
	link := filepath.Join(dir, runLink)
	if run, err := os.Readlink(link); err == nil {
		return run, os.MkdirAll(run, 0o700)
	}
	run, err := os.MkdirTemp("/tmp", "imagecache-")
	if err != nil {
		return "", fmt.Errorf("make the folder of running containers: %w", err)
	}
	if err := os.Symlink(run, link); err != nil {
		return "", errors.Join(fmt.Errorf("link to the folder of running containers: %w", err), os.RemoveAll(run))
	}
	return run, nil
}

// variables are the environment in which podman uses the configuration in dir.
func variables(dir string) []string {
	return []string{
		"CONTAINERS_CONF=" + filepath.Join(dir, containersConf),
		"CONTAINERS_STORAGE_CONF=" + filepath.Join(dir, storageConf),
		"CONTAINERS_REGISTRIES_CONF=" + filepath.Join(dir, registriesConf),
	}
}

// settings are what the templates of the configuration files are filled with.
type settings struct {
	Dir        string
	Run        string
	Runtime    string
	Ulimits    []string
	Driver     string
	Registries []string
	StandIns   map[string]string
}

// The files' settings: https://github.com/containers/common/blob/main/docs/containers.conf.5.md,
// https://github.com/containers/storage/blob/main/docs/containers-storage.conf.5.md and
// https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md.
//
// netns is the host's so that a build reaches a registry on loopback, and because a bridge needs more rights than
// many machines give. Locks and tmp_dir are private because podman otherwise shares both among all storages.
var files = map[string]*template.Template{
	containersConf: parse(`[containers]
netns = "host"
default_ulimits = [{{ range $i, $limit := .Ulimits }}{{ if $i }}, {{ end }}{{ printf "%q" $limit }}{{ end }}]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = {{ printf "%q" .Runtime }}
tmp_dir = {{ printf "%q" (print .Dir "/tmp") }}
`),
	storageConf: parse(`[storage]
driver = {{ printf "%q" .Driver }}
graphroot = {{ printf "%q" (print .Dir "/` + graphRoot + `") }}
runroot = {{ printf "%q" .Run }}

[storage.options.overlay]
skip_mount_home = "true"
`),
	registriesConf: parse(`unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"
{{ range .Registries }}
[[registry]]
location = {{ printf "%q" . }}
insecure = true
{{ end }}
{{ range $name, $repository := .StandIns }}
[[registry]]
prefix = {{ printf "%q" (print "docker.io/library/" $name) }}
location = {{ printf "%q" $repository }}
insecure = true
{{ end }}`),
}

func parse(text string) *template.Template {
	return template.Must(template.New("").Parse(text))
}

func (s settings) write() error {
	for name, file := range files {
		var content bytes.Buffer
		if err := file.Execute(&content, s); err != nil {
			return fmt.Errorf("fill in %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir, name), content.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write container environment: %w", err)
		}
	}
	return nil
}

// usable reports whether podman can use its storage. A machine without podman is not told apart.
func usable(env []string) bool {
	podman := exec.Command("podman", "info", "--format", "{{.Store.GraphDriverName}}")
	podman.Env = append(os.Environ(), env...)
	driver, err := podman.Output()
	return err == nil && strings.TrimSpace(string(driver)) != ""
}

// ociRuntime prefers runc: it asks less of old cgroups.
func ociRuntime() string {
	if _, err := exec.LookPath("runc"); err != nil {
		if _, err := exec.LookPath("crun"); err == nil {
			return "crun"
		}
	}
	return "runc"
}

// ulimits returns limits that a process may set without CAP_SYS_RESOURCE: none is above its own.
// Podman's defaults are.
func ulimits() ([]string, error) {
	wanted := []struct {
		name       string
		resource   int
		soft, hard uint64
	}{
		{"nofile", unix.RLIMIT_NOFILE, 1024, 4096},
		{"nproc", unix.RLIMIT_NPROC, 4096, 4096},
	}
	limits := make([]string, 0, len(wanted))
	for _, want := range wanted {
		var own unix.Rlimit
		if err := unix.Getrlimit(want.resource, &own); err != nil {
			return nil, fmt.Errorf("read the limit of %s: %w", want.name, err)
		}
		limits = append(limits, fmt.Sprintf("%s=%d:%d", want.name, min(want.soft, own.Max), min(want.hard, own.Max)))
	}
	return limits, nil
}
