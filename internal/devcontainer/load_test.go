package devcontainer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// workspaceOf writes files, named by their paths, into a new folder.
func workspaceOf(t *testing.T, files map[string]string) string {
	t.Helper()
	workspace := t.TempDir()
	for name, contents := range files {
		full := filepath.Join(workspace, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := pairs[name]
		return value, found
	}
}

func TestLoadResolvesAsTheReferenceImplementationDoes(t *testing.T) {
	const image = "registry.example/base:1"
	tests := map[string]struct {
		files  map[string]string
		config string
		env    map[string]string
		want   Configuration
	}{
		"image": {
			files: map[string]string{".devcontainer/devcontainer.json": `{"image": "` + image + `"}`},
			want:  Configuration{Path: ".devcontainer/devcontainer.json", Type: TypeImage, Image: image, Lockfile: ".devcontainer/devcontainer-lock.json"},
		},
		"the folder wins over the file at the top": {
			files: map[string]string{".devcontainer/devcontainer.json": `{"image": "a"}`, ".devcontainer.json": `{"image": "b"}`},
			want:  Configuration{Path: ".devcontainer/devcontainer.json", Type: TypeImage, Image: "a", Lockfile: ".devcontainer/devcontainer-lock.json"},
		},
		"file at the top": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`, "Dockerfile": "FROM scratch\n"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "Dockerfile", Context: ".", Lockfile: ".devcontainer-lock.json"},
		},
		"on request": {
			files:  map[string]string{".devcontainer/go/devcontainer.json": `{"build": {"dockerfile": "../Dockerfile"}}`, ".devcontainer/Dockerfile": "FROM scratch\n"},
			config: ".devcontainer/go/devcontainer.json",
			want:   Configuration{Path: ".devcontainer/go/devcontainer.json", Type: TypeDockerfile, Dockerfile: ".devcontainer/Dockerfile", Context: ".devcontainer", Lockfile: ".devcontainer/go/devcontainer-lock.json"},
		},
		"byte order mark, CRLF, comments, trailing commas": {
			files: map[string]string{".devcontainer.json": "\ufeff// {\r\n{\r\n  /* \" */ \"image\": \"a\", // b\r\n  \"runArgs\": [\"x\",],\r\n}\r\n// end"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeImage, Image: "a", Lockfile: ".devcontainer-lock.json"},
		},
		"the older names win": {
			files: map[string]string{".devcontainer/devcontainer.json": `{"dockerFile": "old", "context": "..", "build": {"dockerfile": "new", "context": "x", "target": "t", "args": {"A": "1"}}}`, ".devcontainer/old": "FROM scratch\n"},
			want: Configuration{Path: ".devcontainer/devcontainer.json", Type: TypeDockerfile, Dockerfile: ".devcontainer/old", Context: ".", Target: "t",
				Args: map[string]string{"A": "1"}, Lockfile: ".devcontainer/devcontainer-lock.json"},
		},
		"a Dockerfile wins over Compose and image, Compose over image": {
			files: map[string]string{".devcontainer.json": `{"image": "a", "dockerComposeFile": ["a.yml", "b.yml"], "service": "x"}`},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeCompose, ComposeFiles: []string{"a.yml", "b.yml"}, Service: "x", Lockfile: ".devcontainer-lock.json"},
		},
		"the last of two members counts": {
			files: map[string]string{".devcontainer.json": `{"image": "a", "image": "b"}`},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeImage, Image: "b", Lockfile: ".devcontainer-lock.json"},
		},
		"build arguments are strings": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": {"i": 1.0, "e": 1e21, "t": true, "n": null, "s": "x"}, "options": ["--network=none"]}}`, "D": "FROM scratch\n"},
			want: Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Options: []string{"--network=none"},
				Args: map[string]string{"i": "1", "e": "1e+21", "t": "true", "n": "null", "s": "x"}, Lockfile: ".devcontainer-lock.json"},
		},
		"an array as an argument": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": {"a": [1, [null, "${localEnv:X}"], true], "i": 1e999}, "target": 5, "options": [1, null, ["a"]]}}`, "D": "FROM scratch\n"},
			env:   map[string]string{"X": "x"},
			want: Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Target: "5", Options: []string{"1", "null", "a"},
				Args: map[string]string{"a": "1,,x,true", "i": "Infinity"}, Lockfile: ".devcontainer-lock.json",
				Variables: []Variable{{Property: "build.args.a", Name: "X", Env: true, Set: true, Value: "x"}}},
		},
		"what JavaScript takes as false is absent": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": 0, "target": false, "options": 5, "context": 0}, "features": 7, "workspaceFolder": false}`, "D": "FROM scratch\n"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Lockfile: ".devcontainer-lock.json"},
		},
		"arguments in an array, options in a string": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": ["x", 2], "options": "é-"}}`, "D": "FROM scratch\n"},
			want: Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Options: []string{"é", "-"},
				Args: map[string]string{"0": "x", "1": "2"}, Lockfile: ".devcontainer-lock.json"},
		},
		"arguments in a string": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": "é\ud83d", "options": {}}}`, "D": "FROM scratch\n"},
			want: Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".",
				Args: map[string]string{"0": "é", "1": "\ufffd"}, Lockfile: ".devcontainer-lock.json"},
		},
		"dockerFile beside a build that is none": {
			files: map[string]string{".devcontainer.json": `{"dockerFile": "D", "build": "x"}`, "D": "FROM scratch\n"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Lockfile: ".devcontainer-lock.json"},
		},
		"an image beside a build that is an array": {
			files: map[string]string{".devcontainer.json": `{"image": "a", "build": []}`},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeImage, Image: "a", Lockfile: ".devcontainer-lock.json"},
		},
		"Compose's default files": {
			files: map[string]string{".devcontainer.json": `{"dockerComposeFile": 7}`},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeCompose, Lockfile: ".devcontainer-lock.json"},
		},
		"a missing comma, a tab in a string, no end": {
			files: map[string]string{".devcontainer.json": "{\r\n  \"name\": \"a\tb\"\r\n  oops: 1, \"image\": \"a\",\r\n  \"runArgs\": [\"x"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeImage, Image: "a", Lockfile: ".devcontainer-lock.json"},
		},
		"variables": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "${localEnv:D:none}", "args": {"a": "${localEnv:SET}-${env:UNSET:one:two}-${localEnv:UNSET}", "b": "${other}", "c": "${containerWorkspaceFolder}"}}, "workspaceFolder": "/src"}`, "D": "FROM scratch\n"},
			env:   map[string]string{"SET": "value", "D": "D"},
			want: Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: ".", Lockfile: ".devcontainer-lock.json",
				Args: map[string]string{"a": "value-one-", "b": "${other}", "c": "/src"},
				Variables: []Variable{
					{Property: "build.dockerfile", Name: "D", Env: true, Set: true, Value: "D"},
					{Property: "build.args.a", Name: "SET", Env: true, Set: true, Value: "value"},
					{Property: "build.args.a", Name: "UNSET", Env: true},
					{Property: "build.args.a", Name: "UNSET", Env: true},
					{Property: "build.args.c", Name: "containerWorkspaceFolder", Set: true, Value: "/src"},
				}},
		},
		"Features": {
			files: map[string]string{".devcontainer/devcontainer.json": `{"image": "a", "containerEnv": {"X": "${localEnv:X}"}, "features": {"./local": {}, "registry.example/f/x:1": "lts", "https://registry.example/devcontainer-feature-y.tgz": true, "node": {}, "../up": {}}}`},
			env:   map[string]string{"X": "1"},
			want: Configuration{Path: ".devcontainer/devcontainer.json", Type: TypeImage, Image: "a", Lockfile: ".devcontainer/devcontainer-lock.json",
				Features: []Feature{
					{ID: "./local", Kind: FeatureLocal, Path: ".devcontainer/local"},
					{ID: "registry.example/f/x:1", Kind: FeatureOCI, Resolved: "registry.example/f/x:1"},
					{ID: "https://registry.example/devcontainer-feature-y.tgz", Kind: FeatureTarball, Resolved: "https://registry.example/devcontainer-feature-y.tgz"},
					{ID: "node", Kind: FeatureOCI, Resolved: "ghcr.io/devcontainers/features/node:1"},
					{ID: "../up", Kind: FeatureLocal, Path: "up"},
				},
				Variables: []Variable{{Property: "containerEnv.X", Name: "X", Env: true, Set: true, Value: "1"}}},
		},
		"a context above the workspace is named, not read": {
			files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "context": ".."}}`, "D": "FROM scratch\n"},
			want:  Configuration{Path: ".devcontainer.json", Type: TypeDockerfile, Dockerfile: "D", Context: "..", Lockfile: ".devcontainer-lock.json"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, test.files)
			got, err := Source{Workspace: workspace, ConfigPath: test.config, LookupEnv: environment(test.env)}.Load()
			if err != nil {
				t.Fatal(err)
			}
			test.want.Workspace = workspace
			test.want.Raw = []byte(test.files[test.want.Path])
			if test.want.Dockerfile != "" {
				test.want.DockerfileRaw = []byte(test.files[test.want.Dockerfile])
			}
			if diff := cmp.Diff(&test.want, got, cmpopts.IgnoreUnexported(Configuration{})); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		files   map[string]string
		config  string
		arrange func(t *testing.T, workspace string)
		is      error
		want    string // part of the message
	}{
		"nothing there":              {is: ErrNotFound, want: ".devcontainer/devcontainer.json and .devcontainer.json"},
		"only one on request":        {files: map[string]string{".devcontainer/go/devcontainer.json": "{}"}, is: ErrNotFound, want: "to use one of .devcontainer/go/devcontainer.json"},
		"not the one asked for":      {config: "x/devcontainer.json", is: ErrNotFound, want: "x/devcontainer.json"},
		"a configuration outside":    {config: "../devcontainer.json", is: ErrOutside},
		"an absolute path outside":   {config: "/nowhere/devcontainer.json", is: ErrOutside},
		"empty":                      {files: map[string]string{".devcontainer.json": " \n"}, want: "line 1, column 1: the file is empty"},
		"an array":                   {files: map[string]string{".devcontainer.json": "\n []"}, want: "line 2, column 2: want a JSON object, found an array"},
		"broken JSON":                {files: map[string]string{".devcontainer.json": "{\n  \"image\": oops\n}"}, want: "read .devcontainer.json: line 2, column 12: unexpected word, and none of the properties image, "},
		"comments alone":             {files: map[string]string{".devcontainer.json": "\ufeff// {}"}, want: "line 1, column 6: want a JSON object, found no value"},
		"null":                       {files: map[string]string{".devcontainer.json": "null"}, want: "want a JSON object, found null"},
		"nested without end":         {files: map[string]string{".devcontainer.json": strings.Repeat("[", 100_000)}, want: "more than 200"},
		"no kind":                    {files: map[string]string{".devcontainer.json": `{"name": "x"}`}, want: "none of the properties image, build.dockerfile and dockerComposeFile"},
		"an image that is no string": {files: map[string]string{".devcontainer.json": `{"image": 7}`}, want: "line 1, column 11: image: want a string, found a number"},
		"an empty image":             {files: map[string]string{".devcontainer.json": `{"image": ""}`}, want: "line 1, column 11: image: is empty"},
		"a build that is no object":  {files: map[string]string{".devcontainer.json": `{"build": "x"}`}, want: "build: want an object, found a string"},
		"a build that is null":       {files: map[string]string{".devcontainer.json": `{"image": "a", "build": null}`}, want: "line 1, column 25: build: want an object, found null"},
		"an argument without a text": {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "args": {"a": [{}]}}}`}, want: "build.args.a: want a string, found an object"},
		"an option without a text":   {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "options": [{}]}}`}, want: "build.options: want a string, found an object"},
		"options with a length":      {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "options": {"length": 1}}}`}, want: "build.options: want an array of strings, found an object"},
		"a context that is a number": {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D", "context": 1}}`}, want: "build.context: want a string, found a number"},
		"a folder that is a number":  {files: map[string]string{".devcontainer.json": `{"image": "a", "workspaceFolder": 1}`}, want: "workspaceFolder: want a string, found a number"},
		"Features in an array":       {files: map[string]string{".devcontainer.json": `{"image": "a", "features": ["./f"]}`}, want: "features: want an object, found an array"},
		"a variable without a name":  {files: map[string]string{".devcontainer.json": `{"image": "${localEnv}"}`}, want: "names no environment variable"},
		"no Dockerfile":              {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D"}}`}, is: fs.ErrNotExist, want: "D, named by .devcontainer.json, is not there"},
		"a Dockerfile outside":       {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "../D"}}`}, is: ErrOutside, want: "../D"},
		"too large":                  {files: map[string]string{".devcontainer.json": "{}" + strings.Repeat(" ", MaxConfigurationBytes)}, is: ErrTooLarge, want: "at most 1048576 bytes"},
		"a folder for a Dockerfile":  {files: map[string]string{".devcontainer.json": `{"build": {"dockerfile": "d"}}`, "d/x": ""}, is: ErrNotRegular},
		"a link out of the workspace": {
			arrange: func(t *testing.T, workspace string) {
				outside := workspaceOf(t, map[string]string{"devcontainer.json": `{"image": "a"}`})
				if err := os.Symlink(filepath.Join(outside, "devcontainer.json"), filepath.Join(workspace, ".devcontainer.json")); err != nil {
					t.Fatal(err)
				}
			},
			want: "path escapes from parent",
		},
		"a fifo": {
			arrange: func(t *testing.T, workspace string) {
				if err := syscall.Mkfifo(filepath.Join(workspace, ".devcontainer.json"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			is: ErrNotRegular,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, test.files)
			if test.arrange != nil {
				test.arrange(t, workspace)
			}
			_, err := Load(workspace, test.config)
			if err == nil {
				t.Fatal("Load succeeded")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("Load: %v, want an error that is %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Load: %q, want one line with %q", err, test.want)
			}
		})
	}
}

func TestLoadFollowsLinksInsideOfTheWorkspace(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{"shared/devcontainer.json": `{"image": "a"}`})
	if err := os.Symlink("shared", filepath.Join(workspace, ".devcontainer")); err != nil {
		t.Fatal(err)
	}
	got, err := Load(workspace, "")
	if err != nil || got.Image != "a" {
		t.Fatalf("Load: %v, %v, want image a", got, err)
	}
}

func TestListNamesAllConfigurations(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{
		".devcontainer.json": "", ".devcontainer/devcontainer.json": "", ".devcontainer/b/devcontainer.json": "",
		".devcontainer/a/devcontainer.json": "", ".devcontainer/c/other.json": "", "devcontainer.json": "",
	})
	got, err := List(workspace)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".devcontainer/devcontainer.json", ".devcontainer.json", ".devcontainer/a/devcontainer.json", ".devcontainer/b/devcontainer.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func TestParseNeedsNoWorkspace(t *testing.T) {
	got, err := Parse([]byte(`{"build": {"dockerfile": "../../D", "args": {"a": "${localEnv:HOME:x}"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse([]byte(`{"image": "${localEnv:IMAGE}"}`)); err != nil {
		t.Errorf("Parse: %v, want that a variable may be empty here", err)
	}
	if got.Type != TypeDockerfile || got.Dockerfile != "../../D" || got.Args["a"] != "x" {
		t.Errorf("Parse: %+v", got)
	}
}

func TestTheWorkspacesFolderInAContainer(t *testing.T) {
	tests := map[string]struct{ json, want string }{
		"of a Dockerfile":                          {`{"build": {"dockerfile": "D", "args": {"a": "${containerWorkspaceFolder}"}}}`, "/workspaces/NAME"},
		"of a Dockerfile that wins over Compose":   {`{"build": {"dockerfile": "D", "args": {"a": "${containerWorkspaceFolder}"}}, "dockerComposeFile": "a.yml"}`, "/workspaces/NAME"},
		"of an older Dockerfile that wins over it": {`{"dockerFile": "D", "build": {"args": {"a": "${containerWorkspaceFolder}"}}, "dockerComposeFile": "a.yml"}`, "/workspaces/NAME"},
		"of Compose": {`{"dockerComposeFile": "a.yml", "features": {"x/y/z:1": {"a": "${containerWorkspaceFolder}"}}}`, "/"},
		"of a build that is an array, with Compose": {`{"build": [], "dockerComposeFile": "a.yml", "features": {"x/y/z:1": {"a": "${containerWorkspaceFolder}"}}}`, "/"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, map[string]string{".devcontainer.json": test.json, "D": "FROM scratch\n"})
			got, err := Source{Workspace: workspace, LookupEnv: environment(nil)}.Load()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(test.want, "NAME", filepath.Base(workspace))
			if len(got.Variables) == 0 || got.Variables[0].Value != want {
				t.Errorf("%v, want %s", got.Variables, want)
			}
		})
	}
}
