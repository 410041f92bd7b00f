package differential

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// composeVariable names the program docker-compose; bin/engines has it after "make engine-docker".
const composeVariable = "IMAGECACHE_DOCKER_COMPOSE"

// findCompose returns docker-compose. Without it the test is skipped, or fails where IMAGECACHE_ENGINES asks for Docker
// 28.
func findCompose(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{os.Getenv(composeVariable), "../../bin/engines/cli-plugins/docker-compose"} {
		if found, err := exec.LookPath(candidate); err == nil {
			absolute, err := filepath.Abs(found)
			if err != nil {
				t.Fatal(err)
			}
			return absolute
		}
	}
	const missing = "Docker Compose is not built: run \"make engine-docker\""
	if strings.Contains(os.Getenv("IMAGECACHE_ENGINES"), "docker-28") {
		t.Fatal(missing)
	}
	t.Skip("SKIPPED: " + missing)
	return ""
}

// composeFiles are a project whose services read their files and variables in every way that differs between the two
// that build them.
var composeFiles = map[string]string{
	".devcontainer.json": `{"dockerComposeFile": "compose.yml", "service": "app"}`,
	"compose.yml": `include: [more/compose.yml]
services:
  app:
    build: {context: ., dockerfile: dev/Dockerfile, args: {WHAT: "${WHAT}"}}
    environment: [UNUSED]
  web:
    image: "localhost/imagecache-test/compose-web:${RUN}"
    build: {context: web, target: "${TARGET}", additional_contexts: {lib: lib}, labels: {own: "${LABEL:-none}"}}
`,
	"more/compose.yml": `services:
  db: {image: "localhost/imagecache-test/compose-db:${RUN}", build: {context: .., dockerfile: more/Dockerfile}}
  inline:
    image: "localhost/imagecache-test/compose-inline:${RUN}"
    build: {context: ../lib, dockerfile_inline: "FROM BASE\nCOPY . /lib\n"}
`,
	".env":                         "WHAT=src\nTARGET=one\nUNUSED=1\n",
	"dev/Dockerfile":               "FROM BASE\nARG WHAT\nENV X=$WHAT\nCOPY src /app\n",
	"dev/Dockerfile.dockerignore":  "*\n",
	"web/Dockerfile":               "# escape=`\nFROM BASE AS one\nARG TARGETSTAGE\nENV S=$TARGETSTAGE\nONBUILD COPY c.txt /\nCOPY `\n  a.* /\nCOPY --from=lib l.txt /\nFROM one AS two\nCOPY b.txt /\n",
	"web/Dockerfile.dockerignore":  "*.md\n",
	"more/Dockerfile":              "FROM BASE\nCOPY src /src\nRUN --mount=source=lib/m.txt,target=/m cp /m /n\n",
	"more/Dockerfile.dockerignore": "**/*.md\n",
	"lib/.dockerignore":            "skip*\n",
	// Without these, a builder without BuildKit sees what the own ignore files hide, and it counts.
	"web/.dockerignore": "*.md\n",
	".dockerignore":     "src/*.md\n",
	"lib/skip.txt":      "",
	"web/a.txt":         "", "web/a.md": "", "web/b.txt": "", "web/c.txt": "", "lib/l.txt": "", "lib/m.txt": "", "src/x.txt": "", "src/y.md": "",
}

// composeChange is one change of a workspace, or of the machine.
type composeChange struct {
	name  string
	file  string // text is appended to it, or is all of it
	whole bool
	text  string
	env   string // NAME=VALUE of the machine
}

var composeChanges = []composeChange{
	{name: "a copied file", file: "web/a.txt", text: "x"},
	{name: "an ignored file", file: "web/a.md", text: "x"},
	{name: "a file of a trigger", file: "web/c.txt", text: "x"},
	{name: "a file of another stage", file: "web/b.txt", text: "x"},
	{name: "a file of a named context", file: "lib/l.txt", text: "x"},
	{name: "another file of it, which is mounted elsewhere", file: "lib/m.txt", text: "x"},
	{name: "a file of two services", file: "src/x.txt", text: "x"},
	{name: "a file that they ignore", file: "src/y.md", text: "x"},
	{name: "an ignore file", file: "web/Dockerfile.dockerignore", text: "a.txt\n"},
	{name: "a file that an inline Dockerfile's context hides", file: "lib/skip.txt", text: "x"},
	{name: "the target", file: ".env", text: "WHAT=src\nTARGET=two\nUNUSED=1\n", whole: true},
	{name: "an argument", file: ".env", text: "WHAT=lib\nTARGET=one\nUNUSED=1\n", whole: true},
	{name: "a variable of containers", file: ".env", text: "WHAT=src\nTARGET=one\nUNUSED=2\n", whole: true},
	{name: "a variable of the machine", env: "LABEL=mine"},
	{name: "a variable of the machine, for containers", env: "UNUSED=3"},
}

// composed is what a project builds: images and hashes by service.
type composed struct {
	images map[string]*image
	hashes map[string]string
}

// TestComposeKeysFollowRealBuilds builds a project, by Docker Compose and the reference CLI, and compares images and
// keys after each change. The dev container is built in long runs.
func TestComposeKeysFollowRealBuilds(t *testing.T) {
	program := findCompose(t)
	m := startMachine(t, buildKit)
	services := []string{"web", "db", "inline"}
	if long() {
		m.useCLI(t)
		t.Setenv("PATH", os.Getenv("PATH")+":"+filepath.Dir(program))
		// The reference CLI's Dockerfile lies outside of the folder that buildx may read by itself:
		// https://docs.docker.com/build/building/variables/#buildx_bake_entitlements_fs
		t.Setenv("BUILDX_BAKE_ENTITLEMENTS_FS", "0")
		services = append(services, "app")
	}
	workspace := t.TempDir()
	writeFiles(t, workspace, composeFiles, m)
	before := m.compose(t, program, workspace, services)
	for _, change := range composeChanges {
		t.Run(change.name, func(t *testing.T) {
			if name, value, isSet := strings.Cut(change.env, "="); isSet {
				t.Setenv(name, value)
			}
			if change.file != "" {
				content := change.text
				if !change.whole {
					content = expanded(composeFiles[change.file], change.file, m) + content
				}
				writeFiles(t, workspace, map[string]string{change.file: content}, m)
				defer writeFiles(t, workspace, map[string]string{change.file: composeFiles[change.file]}, m)
			}
			after := m.compose(t, program, workspace, services)
			for _, service := range services {
				difference := before.images[service].difference(after.images[service])
				switch same := before.hashes[service] == after.hashes[service]; {
				case difference != "" && same:
					t.Errorf("the image of %s changed, and its key did not:\n%s", service, difference)
				case difference == "" && !same:
					t.Errorf("the key of %s changed, and its image did not", service)
				}
			}
		})
	}
}

func expanded(content, name string, m *machine) string {
	if content == "" {
		return mark(name)
	}
	return strings.ReplaceAll(content, "BASE", m.base)
}

func writeFiles(t *testing.T, workspace string, files map[string]string, m *machine) {
	t.Helper()
	for name, content := range files {
		place := filepath.Join(workspace, name)
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(place), 0o755), os.WriteFile(place, []byte(expanded(content, name, m)), 0o644),
		); err != nil {
			t.Fatal(err)
		}
	}
}

// compose builds the services of a workspace, and computes their keys.
func (m *machine) compose(t *testing.T, program, workspace string, services []string) composed {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, "-f", filepath.Join(workspace, "compose.yml"), "build", "--no-cache", "web", "db", "inline")
	run := strconv.FormatInt(builtImages.Add(1), 10) // each time other names, see builtImage
	t.Setenv("RUN", run)
	command.Env = m.Command(t.Context()).Env
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	built := composed{images: map[string]*image{}, hashes: keysOfServices(t, workspace)}
	for _, service := range services {
		if service == "app" {
			built.images[service] = m.mustBuild(t, workspace)
			continue
		}
		built.images[service] = m.imageOf(t, "localhost/imagecache-test/compose-"+service+":"+run)
	}
	return built
}

// imageOf reads an image of the engine's store.
func (m *machine) imageOf(t *testing.T, name string) *image {
	t.Helper()
	saved, err := m.save(t, name)
	if err != nil {
		t.Fatal(err)
	}
	flat := mutate.Extract(saved)
	defer func() { _ = flat.Close() }()
	read, err := readImage(flat)
	if err != nil {
		t.Fatal(err)
	}
	config, err := saved.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	read.config(&config.Config)
	return read
}

// keysOfServices returns the hashes of a workspace's services.
func keysOfServices(t *testing.T, workspace string) map[string]string {
	t.Helper()
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	project, err := compose.Load(t.Context(), configuration, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{}
	for i := range project.Services {
		key, err := project.Services[i].ComputeKey(t.Context(), hash.Options{Inputs: []string{hash.InputBuildContext, hash.InputLocalEnv}})
		if err != nil {
			t.Fatal(err)
		}
		hashes[project.Services[i].Name] = key.Hash
	}
	return hashes
}
