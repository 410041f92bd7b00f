package up

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/engine"
)

// machine is a machine with one engine.
type machine struct {
	engine *engine.Engine
}

func newMachine(t *testing.T, kind engine.Kind) *machine {
	t.Helper()
	m := &machine{engine: engine.Start(t, kind, cluster.RegistryHost())}
	loadBases(t, m.engine)
	return m
}

// place is a workspace on a machine.
type place struct {
	*machine
	test   comparison
	folder string
	env    []string
}

func (m *machine) place(t *testing.T, name string, test comparison) *place {
	t.Helper()
	p := &place{machine: m, test: test, folder: filepath.Join(t.TempDir(), "work", "space")}
	config := strings.ReplaceAll(test.written(m.engine.Kind), "<port>", freePort(t))
	config += "\n// " + name + " on " + string(m.engine.Kind) + "\n" // another hash for each
	for file, content := range files(test.files, map[string]string{test.configPath(): config}) {
		path := filepath.Join(p.folder, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The container's user may be another one.
	if err := os.Chmod(p.folder, 0o777); err != nil {
		t.Fatal(err)
	}
	// Docker Compose lets buildx ask whether it may read outside of the current folder.
	p.env = append(p.env, "BUILDX_BAKE_ENTITLEMENTS_FS=0", "XDG_STATE_HOME="+t.TempDir())
	p.env = append(p.env, "KUBECONFIG="+kubeconfig, "IMAGECACHE_NAMESPACE="+namespace, "UP_SET=set here")
	if test.prepare != nil {
		test.prepare(t, p)
	}
	return p
}

// freePort is a port of this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// ran is how a program ended.
type ran struct {
	code           int
	stdout, stderr string
}

func (p *place) run(t *testing.T, program string, arguments ...string) ran {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = append(append(os.Environ(), p.engine.Environment...), p.env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", command, err)
	}
	return ran{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// arguments are those of the case, with the workspace's folder.
func (p *place) arguments() []string {
	arguments := []string{"--include-merged-configuration"}
	for _, argument := range p.test.args {
		arguments = append(arguments, strings.ReplaceAll(argument, "FOLDER", p.folder))
	}
	return arguments
}

// devcontainer runs devcontainer up without the cache.
func (p *place) devcontainer(t *testing.T, more ...string) ran {
	t.Helper()
	arguments := []string{"up", "--workspace-folder", p.folder, "--docker-path", p.engine.Kind.Program()}
	if p.test.path != "" {
		arguments = append(arguments, "--config", filepath.Join(p.folder, p.test.path))
	}
	return p.run(t, os.Getenv(builder.CLIVariable), append(append(arguments, p.arguments()...), more...)...)
}

// imagecache runs imagecache up.
func (p *place) imagecache(t *testing.T, environment string) ran {
	t.Helper()
	arguments := []string{
		"up", p.folder, "--project", p.test.project(), "--environment", environment,
		"--builder", p.engine.Kind.Program(), "-o", "json",
	}
	if p.test.path != "" {
		arguments = append(arguments, "--config", p.test.path)
	}
	return p.run(t, filepath.Join(programs(), "imagecache"), append(append(arguments, "--"), p.arguments()...)...)
}

var buildLine = regexp.MustCompile(`Start: Run: \S+ (?:buildx )?build .*-f (\S+)`)

// observe returns what there is to see after a program brought the container up.
func (p *place) observe(t *testing.T, got ran) observation {
	t.Helper()
	printed := strings.TrimSpace(got.stdout)
	if !strings.HasSuffix(printed, "\n}") { // the last line of devcontainer up
		printed = printed[strings.LastIndexByte(printed, '\n')+1:]
	}
	if printed == "" {
		t.Fatalf("exit code %d, and nothing on standard output: %s", got.code, got.stderr)
	}
	o := observation{}
	o.Answer, o.Merged = answered(t, printed)
	for _, match := range buildLine.FindAllStringSubmatch(got.stderr, -1) {
		o.Builds = append(o.Builds, filepath.Base(match[1]))
	}
	if id := p.container(t); id != "" {
		inspected := strings.Trim(p.engine.Run(t, "inspect", "--type", "container", id), "[] \n") // of one container
		o.Container = settled(t, decoded(t, inspected))
	}
	o.Log = p.takeLog(t)
	return o
}

// read returns what devcontainer read-configuration prints about the running container.
func (p *place) read(t *testing.T) map[string]any {
	t.Helper()
	arguments := []string{
		"read-configuration", "--workspace-folder", p.folder, "--docker-path", p.engine.Kind.Program(),
		"--include-merged-configuration",
	}
	if p.test.path != "" {
		arguments = append(arguments, "--config", filepath.Join(p.folder, p.test.path))
	}
	got := p.run(t, os.Getenv(builder.CLIVariable), arguments...)
	if got.code != 0 {
		return map[string]any{"code": got.code}
	}
	return pick(decoded(t, got.stdout), "configuration", "workspace", "mergedConfiguration")
}

// takeLog returns the lines of the lifecycle commands, and empties their file.
func (p *place) takeLog(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(p.folder, "log")
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(content), " ", "_"))
	if p.test.atOnce {
		sortLines(lines)
	}
	return lines
}

// container is the ID of the workspace's container, "" if there is none.
func (p *place) container(t *testing.T) string {
	t.Helper()
	label := "devcontainer.local_folder=" + p.folder
	if p.test.label != "" {
		label = p.test.label
	}
	return p.engine.Run(t, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+label)
}

func (p *place) stop(t *testing.T) {
	t.Helper()
	if id := p.container(t); id != "" {
		p.engine.Run(t, "stop", "--time", "1", id)
	}
}

// remove removes the container and the images that came of it.
func (p *place) remove(t *testing.T) {
	t.Helper()
	if id := p.container(t); id != "" {
		p.engine.Run(t, "rm", "--force", "--volumes", id)
	}
	if p.test.compose {
		p.removeProject(t)
	}
	p.takeLog(t)
	p.removeNames(t, "vsc-", "imagecache.local/", composeProject)
}

// removeNames removes all names of images that have one of these parts.
func (p *place) removeNames(t *testing.T, parts ...string) {
	t.Helper()
	for name := range strings.Lines(p.engine.Run(t, "images", "--format", "{{.Repository}}:{{.Tag}}")) {
		name = strings.TrimSpace(name)
		if slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) }) {
			p.engine.Run(t, "rmi", "--force", name)
		}
	}
}
