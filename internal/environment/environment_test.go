package environment_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/runner"
)

// fakeEngine is an engine with one image and some containers. It records how devcontainer up was called.
type fakeEngine struct {
	builder.Containers
	config    builder.ImageConfig
	configErr error
	accounts  string
	labels    []map[string]string
	upErr     error

	asked    builder.UpRequest
	override string // the content of the file, while the reference CLI ran
	read     int    // how often a file of the image was read
}

func (f *fakeEngine) Name() string { return "fake" }

func (f *fakeEngine) Config(context.Context, string) (*builder.ImageConfig, error) {
	return &f.config, f.configErr
}

func (f *fakeEngine) ReadFile(context.Context, string, string, int64) ([]byte, error) {
	f.read++
	if f.accounts == "" {
		return nil, errors.New("no such file")
	}
	return []byte(f.accounts), nil
}

func (f *fakeEngine) ContainerLabels(_ context.Context, labels []string) ([]map[string]string, error) {
	var found []map[string]string
	for _, of := range f.labels {
		if !slices.ContainsFunc(labels, func(label string) bool {
			name, value, _ := strings.Cut(label, "=")
			return of[name] != value
		}) {
			found = append(found, of)
		}
	}
	return found, nil
}

func (f *fakeEngine) Up(_ context.Context, r builder.UpRequest) (*builder.UpAnswer, error) {
	f.asked = r
	if r.Override != "" {
		content, err := os.ReadFile(r.Override)
		if err != nil {
			return nil, err
		}
		f.override = string(content)
	}
	_, _ = io.WriteString(r.Logs, "hook's words\nand more")
	return &builder.UpAnswer{Outcome: "success", ContainerID: "0123456789abcdef"}, f.upErr
}

// log records events as lines.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Emit(event runner.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(event.Kind)+": "+event.Text)
}

// newWorkspace writes a workspace and returns what was read of it.
func newWorkspace(t *testing.T, config string) *devcontainer.Configuration {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	configuration, err := devcontainer.Load(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	return configuration
}

func up(t *testing.T, e *fakeEngine, result *runner.Result, configuration *devcontainer.Configuration, words ...string) (*log, error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	arguments, err := environment.ParseArguments(words)
	if err != nil {
		t.Fatal(err)
	}
	events := &log{}
	place, err := environment.New(e, events, configuration.Workspace, "", arguments)
	if err != nil {
		t.Fatal(err)
	}
	_, err = place.Up(t.Context(), result)
	if left, globErr := filepath.Glob(filepath.Join(os.TempDir(), "*")); globErr != nil || len(left) > 0 {
		t.Errorf("files are left: %q, %v", left, globErr)
	}
	if entries, readErr := os.ReadDir(configuration.Workspace); readErr != nil || len(entries) != 1 {
		t.Errorf("the workspace was changed: %v, %v", entries, readErr)
	}
	return events, err
}

func TestImageOfTheCacheIsUsed(t *testing.T) {
	configuration := newWorkspace(t, `{"image": "base:1", "features": {"./tool": {}}, "postCreateCommand": "make", "name": "n"}`)
	e := &fakeEngine{config: builder.ImageConfig{Labels: map[string]string{
		devcontainer.MetadataLabel: `[{"id":"./tool"},{"postCreateCommand":"make"}]`,
	}}}
	events, err := up(t, e, &runner.Result{Image: "built:1", Configuration: configuration}, configuration, "--prebuild")
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n\t\"image\": \"built:1\",\n\t\"name\": \"n\"\n}\n"; e.override != want {
		t.Errorf("override %q, want %q", e.override, want)
	}
	if e.asked.Workspace != configuration.Workspace || e.asked.ConfigPath != "" || e.asked.MayBuildFeatures || !slices.Equal(e.asked.Arguments, []string{"--prebuild"}) {
		t.Errorf("asked %+v", e.asked)
	}
	want := []string{"Started: Starting the container with fake", "Output: hook's words", "Output: and more", "Finished: Started container 0123456789ab"}
	if !slices.Equal(events.lines, want) {
		t.Errorf("events %q, want %q", events.lines, want)
	}
}

func TestImageThatCannotBeUsedIsAsNone(t *testing.T) {
	const config = `{"image": "base:1", "features": {"./tool": {}}, "postCreateCommand": "make"}`
	tests := map[string]struct {
		engine *fakeEngine
		image  string
		notice string
	}{
		"another label":  {&fakeEngine{}, "built:1", "the image's label devcontainer.metadata does not end with this configuration's entry"},
		"an image gone":  {&fakeEngine{configErr: errors.New("no such image")}, "built:1", "no such image"},
		"Docker Compose": {&fakeEngine{}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			configuration := newWorkspace(t, config)
			events, err := up(t, test.engine, &runner.Result{Image: test.image, Configuration: configuration}, configuration)
			if err != nil {
				t.Fatal(err)
			}
			if asked := test.engine.asked; asked.Override != "" || asked.KeepIDs || !asked.MayBuildFeatures {
				t.Errorf("asked %+v, want the workspace's own configuration", asked)
			}
			noticed := slices.ContainsFunc(events.lines, func(line string) bool {
				return strings.HasPrefix(line, "Notice: the container is made as if the cache did not exist: ")
			})
			if noticed != (test.notice != "") || !strings.Contains(strings.Join(events.lines, "\n"), test.notice) {
				t.Errorf("events %q, want a notice with %q", events.lines, test.notice)
			}
		})
	}
}

func TestIDsOfTheUserAreKeptWhereNothingWouldChange(t *testing.T) {
	uid, gid := builder.LocalUser()
	own := strings.NewReplacer("U", strconv.Itoa(uid), "G", strconv.Itoa(gid)).Replace("dev:x:U:G::/home/dev:/bin/sh\n")
	other := strings.NewReplacer("U", strconv.Itoa(uid+1), "G", strconv.Itoa(gid+1)).Replace("dev:x:U:G::/home/dev:/bin/sh\n")
	tests := map[string]struct {
		config, accounts string
		words            []string
		want             bool
		read             int
	}{
		"the same IDs":              {`{"image": "b", "remoteUser": "dev"}`, own, nil, true, 1},
		"other IDs":                 {`{"image": "b", "remoteUser": "dev"}`, other, nil, false, 1},
		"no accounts":               {`{"image": "b", "remoteUser": "dev"}`, "", nil, false, 1},
		"root":                      {`{"image": "b", "remoteUser": "root"}`, own, nil, false, 0},
		"an argument of the person": {`{"image": "b", "remoteUser": "dev"}`, own, []string{"--update-remote-user-uid-default", "on"}, false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			configuration := newWorkspace(t, test.config)
			label := "[" + string(configuration.Metadata()) + "]"
			e := &fakeEngine{accounts: test.accounts, config: builder.ImageConfig{Labels: map[string]string{devcontainer.MetadataLabel: label}}}
			if _, err := up(t, e, &runner.Result{Image: "built:1", Configuration: configuration}, configuration, test.words...); err != nil {
				t.Fatal(err)
			}
			if e.asked.KeepIDs != test.want || e.read != test.read {
				t.Errorf("IDs kept: %v, want %v; accounts read %d times, want %d", e.asked.KeepIDs, test.want, e.read, test.read)
			}
		})
	}
}

func TestContainerThatFailsIsTold(t *testing.T) {
	configuration := newWorkspace(t, `{"image": "base:1"}`)
	e := &fakeEngine{upErr: &builder.UpError{Message: "The postCreateCommand failed."}}
	events, err := up(t, e, nil, configuration)
	var failed *builder.UpError
	if !errors.As(err, &failed) {
		t.Errorf("error %v", err)
	}
	if last := events.lines[len(events.lines)-1]; last != "Failed: Container 0123456789ab is not ready" {
		t.Errorf("the last event is %q", last)
	}
}

func TestContainerOfTheWorkspaceIsFoundAsTheCLIFindsIt(t *testing.T) {
	configuration := newWorkspace(t, `{"image": "base:1"}`)
	folder, config := configuration.Workspace, filepath.Join(configuration.Workspace, ".devcontainer.json")
	const folderLabel, configLabel = "devcontainer.local_folder", "devcontainer.config_file"
	tests := map[string]struct {
		labels map[string]string
		words  []string
		want   bool
	}{
		"none":                         {nil, nil, false},
		"its own":                      {map[string]string{folderLabel: folder, configLabel: config}, nil, true},
		"an older CLI's":               {map[string]string{folderLabel: folder}, nil, true},
		"of another configuration":     {map[string]string{folderLabel: folder, configLabel: config + "x"}, nil, false},
		"of another workspace":         {map[string]string{folderLabel: folder + "x", configLabel: config}, nil, false},
		"to be removed":                {map[string]string{folderLabel: folder, configLabel: config}, []string{"--remove-existing-container"}, false},
		"by a label of its own":        {map[string]string{"a": "1"}, []string{"--id-label", "a=1"}, true},
		"not by a label of its own":    {map[string]string{folderLabel: folder, configLabel: config}, []string{"--id-label", "a=1"}, false},
		"not by all labels of its own": {map[string]string{"a": "1"}, []string{"--id-label", "a=1", "--id-label", "b=1"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			arguments, err := environment.ParseArguments(test.words)
			if err != nil {
				t.Fatal(err)
			}
			e := &fakeEngine{}
			if test.labels != nil {
				e.labels = []map[string]string{test.labels}
			}
			place, err := environment.New(e, &log{}, folder, "", arguments)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := place.Exists(t.Context()); err != nil || got != test.want {
				t.Errorf("exists: %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// The reference CLI resolves a relative workspace from the current folder without its links, and keeps those of the
// workspace itself.
func TestWorkspaceBelowALinkIsTheCLIs(t *testing.T) {
	real := t.TempDir()
	if err := os.MkdirAll(filepath.Join(real, "w", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "w", "x", "devcontainer.json"), []byte(`{"image": "b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(link)
	for workspace, want := range map[string]string{"w": filepath.Join(real, "w"), filepath.Join(link, "w"): filepath.Join(link, "w")} {
		e := &fakeEngine{}
		place, err := environment.New(e, &log{}, workspace, "x/devcontainer.json", environment.Arguments{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := place.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if e.asked.Workspace != want || e.asked.ConfigPath != filepath.Join(want, "x", "devcontainer.json") {
			t.Errorf("workspace %s is %+v, want %s", workspace, e.asked, want)
		}
	}
}
