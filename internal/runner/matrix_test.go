package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/publication"
	"imagecache.dev/internal/transfer"
	"imagecache.dev/test/containerenv"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testregistry"
)

// matrixFile is where the table is written to, in the repository.
const matrixFile = "bin/engine-matrix.txt"

// remoteUser is the user that the containers of the matrix must run as.
const remoteUser = "dev"

// TestEveryEngineUsesWhatEveryEnginePublished publishes an image with every engine that was asked for and pulls each with
// every one of them, in the product's way.
func TestEveryEngineUsesWhatEveryEnginePublished(t *testing.T) {
	if os.Getenv(engine.Variable) == "" {
		t.Skipf("SKIPPED: it takes minutes; set %s", engine.Variable)
	}
	m := newMatrix(t)
	for _, kind := range engine.Asked(t) {
		t.Run(string(kind)+" publishes", func(t *testing.T) { m.publish(t, kind) })
	}
	for _, puller := range engine.Asked(t) {
		for _, publisher := range engine.Asked(t) {
			pair := fmt.Sprintf("%s uses what %s published", puller, publisher)
			t.Run(pair, func(t *testing.T) { m.use(t, puller, publisher) })
		}
	}
	m.print(t)
}

// matrix are engines that run at once, and what came of each pair.
type matrix struct {
	host    string // of the registry
	base    string
	engines map[engine.Kind]*engine.Engine
	pulls   map[engine.Kind]*pull
	cells   map[[2]engine.Kind]string // by puller and publisher
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	if cli := enginetest.OwnCLI(); cli != "" && os.Getenv(builder.CLIVariable) == "" {
		t.Setenv(builder.CLIVariable, cli)
	}
	busybox, err := containerenv.FindBusybox()
	if err != nil && os.Getenv(engine.Variable) != "" {
		t.Fatal(err) // the engines are required, and so is their base image
	}
	if err != nil {
		t.Skip(err)
	}
	image, err := containerenv.BaseImage(busybox)
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix{
		host: testregistry.Start(t, nil), engines: map[engine.Kind]*engine.Engine{},
		pulls: map[engine.Kind]*pull{}, cells: map[[2]engine.Kind]string{},
	}
	base, err := name.NewTag(m.host + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(base, image); err != nil {
		t.Fatal(err)
	}
	m.base = base.String()
	for _, kind := range engine.Asked(t) {
		m.engines[kind] = engine.Start(t, kind, m.host)
	}
	return m
}

// find makes this process use an engine for the rest of the test.
func (m *matrix) find(t *testing.T, kind engine.Kind) (*engine.Engine, builder.Engine) {
	t.Helper()
	m.engines[kind].Use(t)
	found, err := builder.Find(t.Context(), kind.Program())
	if err != nil {
		t.Fatal(err)
	}
	return m.engines[kind], found
}

// workspaceOf writes the files of a workspace.
func workspaceOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for file, content := range files {
		path := filepath.Join(folder, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// publish builds a configuration with a Dockerfile and a Feature, and publishes the image as prepare and controller do.
func (m *matrix) publish(t *testing.T, kind engine.Kind) {
	_, found := m.find(t, kind)
	workspace := workspaceOf(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}},
			"remoteUser": "` + remoteUser + `"}`,
		".devcontainer/Dockerfile": "FROM " + m.base + "\n" +
			"RUN echo '" + remoteUser + ":x:1000:1000::/home/dev:/bin/sh' >>/etc/passwd && " +
			"echo '" + remoteUser + ":x:1000:' >>/etc/group && mkdir -p /home/dev && chown 1000:1000 /home/dev && " +
			"echo " + string(kind) + " >/publisher\n",
		".devcontainer/tool/devcontainer-feature.json": `{"id": "tool", "version": "1.0.0", "name": "Tool"}`,
		".devcontainer/tool/install.sh":                "#!/bin/sh\nset -e\necho installed >/tool\n",
	})
	const built = "localhost/matrix/built:1"
	var logs bytes.Buffer
	result, err := found.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: built, Logs: &logs})
	if err != nil {
		t.Fatalf("Build: %v\n%s", err, logs.String())
	}
	saved, err := found.Save(t.Context(), built, t.TempDir(), compression.Zstd, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := publication.Expectation{
		Hash: strings.Repeat("a", 64), HashVersion: 1, UID: string(kind), Platform: "linux/" + runtime.GOARCH,
	}
	image, err := newCandidate(saved, labels(want, "of-"+string(kind), result.Duration), want.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.check(want); err != nil {
		t.Fatal(err)
	}
	m.pulls[kind] = m.upload(t, image)
	m.pulls[kind].name = "imagecache.local/matrix:" + string(kind)
}

// upload uploads blobs as prepare does, and puts the manifest as the controller does.
func (m *matrix) upload(t *testing.T, image *candidate) *pull {
	t.Helper()
	repository := testregistry.Repository(t, m.host)
	blobs := make([]v1.Layer, 0, len(image.blobs))
	for _, blob := range image.blobs {
		blobs = append(blobs, blob)
	}
	if _, err := transfer.Upload(t.Context(), repository, authn.Anonymous, blobs, nil); err != nil {
		t.Fatal(err)
	}
	reference := repository.Digest(ocidigest.FromBytes(image.manifest).String())
	if err := remote.Put(reference, rawManifest(image.manifest)); err != nil {
		t.Fatal(err)
	}
	return pullFrom(t, m.host, reference)
}

// rawManifest is a manifest as the controller puts it.
type rawManifest []byte

func (m rawManifest) RawManifest() ([]byte, error)        { return m, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// use pulls an image and does with it what people do.
func (m *matrix) use(t *testing.T, puller, publisher engine.Kind) {
	pair := [2]engine.Kind{puller, publisher}
	m.cells[pair] = "not run"
	if m.pulls[publisher] == nil {
		t.Skip("nothing was published")
	}
	e, found := m.find(t, puller)
	step := "pull"
	defer func() {
		if t.Failed() {
			m.cells[pair] = "FAILED: " + step
		}
	}()
	wanted := *m.pulls[publisher]
	began := time.Now()
	if err := (EngineStore{found}).pull(t.Context(), &wanted); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	step = "labels"
	got := e.Run(t, "image", "inspect", "--format", "{{json .Config.Labels}}", wanted.name)
	for _, label := range []string{imagelabel.Hash, `of-` + string(publisher), "devcontainer.metadata"} {
		if !strings.Contains(got, label) {
			t.Errorf("labels %s, want %s", got, label)
		}
	}
	step = "save"
	if _, err := found.Save(t.Context(), wanted.name, t.TempDir(), compression.Gzip, nil); err != nil {
		t.Error(err)
	}
	step = "build FROM"
	e.Build(t, "localhost/matrix/next:1", "FROM "+wanted.name+"\nUSER root\nRUN cat /tool /publisher >/next\n")
	step = "devcontainer up"
	m.up(t, e, wanted.name)
	m.cells[pair] = fmt.Sprintf("ok, pulled in %.1f s", took.Seconds())
}

// up starts a dev container of the image, and asks it for its user.
func (m *matrix) up(t *testing.T, e *engine.Engine, image string) {
	t.Helper()
	configuration := `{"image": "` + image + `"}`
	if e.Kind == engine.Podman && os.Getuid() == 0 {
		// Unless IDs are mapped, the reference CLI asks for --userns=keep-id, which podman refuses to root.
		configuration = `{"image": "` + image + `", "runArgs": ["--uidmap=0:0:65536", "--network=host"]}`
	}
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": configuration})
	program := e.Command(t.Context()).Path
	run := func(arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), os.Getenv(builder.CLIVariable), arguments...)
		var out, said bytes.Buffer
		command.Stdout, command.Stderr = &out, &said
		if err := command.Run(); err != nil {
			t.Fatalf("devcontainer %s: %v\n%s%s", arguments[0], err, out.String(), said.String())
		}
		return strings.TrimSpace(out.String())
	}
	var up struct{ ContainerID, RemoteUser string }
	printed := run("up", "--workspace-folder", workspace, "--docker-path", program)
	if err := json.Unmarshal([]byte(printed), &up); err != nil {
		t.Fatalf("devcontainer up: %v in %s", err, printed)
	}
	if user := run("exec", "--workspace-folder", workspace, "--docker-path", program, "id", "-un"); user != remoteUser || up.RemoteUser != remoteUser {
		t.Errorf("the dev container runs as %s, told %s, want %s", user, up.RemoteUser, remoteUser)
	}
	e.Run(t, "rm", "--force", up.ContainerID)
}

// print writes the table: a row is an engine that pulls, a column one that published.
func (m *matrix) print(t *testing.T) {
	t.Helper()
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(head string, cell func(kind engine.Kind) string) {
		_, _ = fmt.Fprint(w, head)
		for _, kind := range engine.Asked(t) {
			_, _ = fmt.Fprint(w, "\t", cell(kind))
		}
		_, _ = fmt.Fprintln(w)
	}
	row("used by \\ published by", func(kind engine.Kind) string { return string(kind) })
	for _, puller := range engine.Asked(t) {
		row(string(puller), func(publisher engine.Kind) string { return m.cells[[2]engine.Kind{puller, publisher}] })
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	if err := os.WriteFile(filepath.Join("..", "..", matrixFile), table.Bytes(), 0o644); err != nil {
		t.Error(err)
	}
}
