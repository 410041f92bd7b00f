package compose

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"imagecache.dev/internal/devcontainer"
)

// repository returns the folder with the module's go.mod.
func repository(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// program finds a program of the tests' own. Without it the test is skipped, or fails where IMAGECACHE_ENGINES asks for
// Docker 28.
func program(t *testing.T, variable, place, hint string) string {
	t.Helper()
	for _, candidate := range []string{os.Getenv(variable), filepath.Join(repository(t), place)} {
		if found, err := exec.LookPath(candidate); err == nil {
			return found
		}
	}
	if strings.Contains(os.Getenv("IMAGECACHE_ENGINES"), "docker-28") {
		t.Fatal(hint)
	}
	t.Skip("SKIPPED: " + hint)
	return ""
}

// reference runs the reference CLI with a docker that knows Docker Compose alone.
type reference struct {
	cli, docker string
}

func newReference(t *testing.T) reference {
	t.Helper()
	r := reference{cli: program(
		t, "IMAGECACHE_DEVCONTAINER_CLI", "hack/tools/devcontainer/node_modules/.bin/devcontainer",
		"the reference CLI is not installed: npm ci --prefix hack/tools/devcontainer",
	)}
	compose := program(
		t, "IMAGECACHE_DOCKER_COMPOSE", "bin/engines/cli-plugins/docker-compose",
		"Docker Compose is not built: run \"make engine-docker\"",
	)
	r.docker = filepath.Join(t.TempDir(), "docker")
	// What Docker Compose answers to "config" is kept; it builds nothing. The first that the reference CLI wants
	// afterwards ends it: it would look for images in registries, and try again for five seconds.
	script := "#!/bin/sh\n[ \"$1\" = compose ] || { [ ! -e \"$KEPT\" ] || kill \"$PPID\"; exit 1; }\nshift\nfor last; do :; done\n" +
		"[ \"$last\" != config ] || { " + compose + " \"$@\" >\"$KEPT\" || { rm -f \"$KEPT\"; exit 1; }; cat \"$KEPT\"; exit; }\n" +
		"[ \"$1\" = version ] || exit 1\nexec " + compose + " \"$@\"\n"
	if err := os.WriteFile(r.docker, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

// model is what Docker Compose prints of a project.
type model struct {
	Services map[string]struct {
		Image    string
		Platform string
		Build    *struct {
			Context            string
			Dockerfile         string
			DockerfileInline   string `yaml:"dockerfile_inline"`
			Target             string
			Args               map[string]*string
			AdditionalContexts map[string]string `yaml:"additional_contexts"`
		}
	}
}

// missingEnvFile is how Docker Compose says that the variables of a container are not there.
var missingEnvFile = regexp.MustCompile(`env file (\S+) not found`)

// read returns what Docker Compose says when the reference CLI asks it; nil where either of them refuses the project.
func (r reference) read(t *testing.T, workspace, configuration string, env map[string]string) *model {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "config.yml")
	command := exec.CommandContext(t.Context(), r.cli, "build", "--workspace-folder", workspace, "--config", configuration, "--docker-path", r.docker, "--user-data-folder", t.TempDir(), "--image-name", "x")
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KEPT=" + kept}
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	said, _ := command.CombinedOutput() // it fails, because nothing is built
	if missing := missingEnvFile.FindSubmatch(said); missing != nil {
		// What a container gets is in no key. Templates leave the file to people.
		if err := os.WriteFile(string(missing[1]), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return r.read(t, workspace, configuration, env)
	}
	contents, err := os.ReadFile(kept)
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(string(said), "not found in Docker Compose configuration") {
		t.Logf("the reference CLI refuses it: %s", said)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	found := &model{}
	if err := yaml.Unmarshal(contents, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// built is what a service is built from.
type built struct {
	Image, Context, Dockerfile, Inline, Target string
	Args, Contexts                             map[string]string
}

func builtOfService(s Service) built {
	c := s.Configuration
	b := built{Image: c.Image, Context: c.Context, Dockerfile: c.Dockerfile, Target: c.Target, Args: maps.Clone(c.Args), Contexts: map[string]string{}}
	if strings.HasPrefix(c.Dockerfile, "dockerfile_inline") {
		b.Dockerfile, b.Inline = "", string(c.DockerfileRaw)
	}
	for i, option := range c.Options {
		if option == "--build-context" {
			name, value, _ := strings.Cut(c.Options[i+1], "=")
			b.Contexts[name] = strings.Replace(value, "service://", "service:", 1)
		}
	}
	if c.Type == devcontainer.TypeUnknown {
		b.Context, b.Dockerfile = "", ""
	}
	return b
}

// builtOf is what the model says of a service. What is somewhere else is left out.
func (m *model) builtOf(t *testing.T, workspace, name string) built {
	t.Helper()
	service, found := m.Services[name]
	if !found {
		t.Errorf("Docker Compose knows no service %s", name)
		return built{}
	}
	build := service.Build
	if build == nil {
		return built{Image: service.Image, Contexts: map[string]string{}}
	}
	relative := func(name string) string {
		if short, err := filepath.Rel(workspace, name); err == nil && filepath.IsAbs(name) {
			return short
		}
		return name
	}
	b := built{Context: relative(build.Context), Inline: build.DockerfileInline, Target: build.Target, Args: map[string]string{}, Contexts: map[string]string{}}
	if build.Dockerfile != "" {
		b.Dockerfile = path.Join(b.Context, build.Dockerfile)
	}
	for name, value := range build.Args {
		if value != nil {
			b.Args[name] = strings.ReplaceAll(*value, "$$", "$") // as it is printed
		}
	}
	for name, value := range build.AdditionalContexts {
		b.Contexts[name] = relative(value)
	}
	if strings.Contains(build.Context, "://") {
		b.Context, b.Dockerfile = "", ""
	}
	return b
}

func (r reference) compare(t *testing.T, workspace, configuration string, env map[string]string) {
	t.Helper()
	want := r.read(t, workspace, configuration, env)
	c, err := devcontainer.Source{Workspace: workspace, ConfigPath: configuration, LookupEnv: lookupIn(env)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	project, err := Load(t.Context(), c, lookupIn(env))
	switch {
	case err != nil && want != nil && !strings.Contains(err.Error(), "read Dockerfile"):
		t.Fatalf("%v, and the reference CLI reads it", err)
	case err == nil && want == nil:
		t.Fatal("the reference CLI refuses what is read here")
	case err != nil:
		t.Logf("refused: %v", err)
		return
	}
	for _, service := range project.Services {
		if diff := cmp.Diff(want.builtOf(t, workspace, service.Name), builtOfService(service)); diff != "" {
			t.Errorf("%s (-reference CLI +got):\n%s", service.Name, diff)
		}
	}
	for _, name := range project.Images {
		if service, found := want.Services[name]; !found || service.Build != nil {
			t.Errorf("%s takes an image here, and the reference CLI says %+v", name, service)
		}
	}
}

// TestProjectsAreReadAsTheReferenceCLIReadsThem compares with what Docker Compose says to the reference CLI.
func TestProjectsAreReadAsTheReferenceCLIReadsThem(t *testing.T) {
	r := newReference(t)
	for name, test := range loadCases {
		if slices.Contains([]string{"what no key covers"}, name) {
			continue // Docker Compose would fetch the remote file
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			workspace := workspaceWith(t, test.json, test.files)
			c, err := devcontainer.Locate(workspace, "")
			if err != nil {
				t.Fatal(err)
			}
			r.compare(t, workspace, filepath.Join(workspace, c.Path), test.env)
		})
	}
}

// TestTheCorpusIsReadAsTheReferenceCLIReadsIt does the same with real configurations of public projects.
func TestTheCorpusIsReadAsTheReferenceCLIReadsIt(t *testing.T) {
	corpus := filepath.Join(repository(t), "../shared/corpus")
	if found := os.Getenv("IMAGECACHE_CORPUS"); found != "" {
		corpus = found
	}
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("the corpus is not beside the repository: ../shared/corpus")
	}
	r := newReference(t)
	seen := 0
	err := filepath.WalkDir(corpus, func(full string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != "devcontainer.json" && entry.Name() != ".devcontainer.json" {
			return err
		}
		workspace := filepath.Dir(full)
		if before, _, found := strings.Cut(full, "/.devcontainer/"); found {
			workspace = before
		}
		c, err := devcontainer.Load(workspace, full)
		if err != nil || c.Type != devcontainer.TypeCompose {
			return nil //nolint:nilerr // others are compared by internal/devcontainer
		}
		seen++
		name, err := filepath.Rel(corpus, full)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := filepath.Join(t.TempDir(), filepath.Base(workspace))
			if err := os.CopyFS(own, os.DirFS(workspace)); err != nil {
				t.Fatal(err)
			}
			r.compare(t, own, filepath.Join(own, c.Path), nil)
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("the corpus has no configuration of Docker Compose")
	}
}
