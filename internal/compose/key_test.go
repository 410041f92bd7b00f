package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// update fills in vectors that have no keys yet. One that has keys never changes within a version of the hash: delete no
// key, add a vector.
var update = flag.Bool("update", false, "fill in the golden vectors that have no keys yet")

// vector is a workspace and the keys of its services.
type vector struct {
	Name     string            `json:"name"`
	Files    map[string]string `json:"files"`
	Settings []string          `json:"settings,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Keys     []vectorKey       `json:"keys"`
}

type vectorKey struct {
	Service string `json:"service"`
	// Resolved is the content of the input "Service".
	Resolved string       `json:"resolved"`
	Inputs   []hash.Input `json:"inputs"`
	Hash     string       `json:"hash"`
}

const anyDigest = "sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d"

func (v vector) keys(t *testing.T) []vectorKey {
	t.Helper()
	project, err := load(t, workspaceOf(t, v.Files), v.Env)
	if err != nil {
		t.Fatal(err)
	}
	var keys []vectorKey
	for i := range project.Services {
		service := &project.Services[i]
		key, err := service.ComputeKey(t.Context(), hash.Options{
			Inputs: v.Settings, BuildPlatform: "linux/amd64",
			Resolve: func(context.Context, string, string) (string, error) { return anyDigest, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, vectorKey{Service: service.Name, Resolved: string(service.Composed.Resolved), Inputs: key.Inputs, Hash: key.Hash})
	}
	return keys
}

func TestGoldenVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	contents, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(contents, &vectors); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		v := &vectors[i]
		t.Run(v.Name, func(t *testing.T) {
			keys := v.keys(t)
			if *update && len(v.Keys) == 0 {
				v.Keys = keys
			}
			if diff := cmp.Diff(v.Keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			for _, key := range keys {
				if again, err := hash.Sum("linux/amd64", key.Inputs); err != nil || again != key.Hash {
					t.Errorf("Sum: %s, %v, want %s", again, err, key.Hash)
				}
			}
		})
	}
	if !*update {
		return
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shop is a project with three services that are built.
func shop() vector {
	return vector{
		Files: map[string]string{
			".devcontainer.json": `{"dockerComposeFile": ["compose.yml", "dev.yml"], "service": "app", "features": {"./feature": {}}}`,
			"compose.yml": "include: [more/compose.yml]\nservices:\n  web: {build: {context: web, args: {V: \"${VERSION}\"}}, environment: {X: \"${UNRELATED}\"}}\n" +
				"  app: {build: {context: ., dockerfile: dev/Dockerfile, args: {USER: \"${USER:-nobody}\"}, additional_contexts: {lib: lib}}, user: \"${DEV_USER}\"}\n",
			"dev.yml":                           "services: {app: {command: sleep infinity}}\n",
			"more/compose.yml":                  "services: {db: {build: {context: ., target: db}}}\n",
			"more/Dockerfile":                   "FROM base AS db\nCOPY seed /\n",
			"more/Dockerfile.dockerignore":      "**/*.log\n",
			"more/seed/a":                       "",
			"more/seed/b.log":                   "",
			"dev/Dockerfile":                    "FROM base\nCOPY --from=lib x /\nCOPY app /app\n",
			"dev/Dockerfile.dockerignore":       "*\n",
			"app":                               "",
			"lib/x":                             "",
			"web/Dockerfile":                    "FROM base\nCOPY page .\n",
			"web/page":                          "",
			"web/other":                         "",
			".env":                              "VERSION=1\nDEV_USER=me\nUNRELATED=1\n",
			"feature/install.sh":                "",
			"feature/devcontainer-feature.json": `{"id": "feature", "version": "1.0.0"}`,
		},
		Env: map[string]string{"USER": "me", "UNRELATED": "2"},
	}
}

func TestWhatChangesWhichKeys(t *testing.T) {
	all := []string{"app", "db", "web"}
	none := []string{}
	every := hash.Settings
	write := func(name, content string) func(*vector) { return func(v *vector) { v.Files[name] = content } }
	set := func(name, value string) func(*vector) { return func(v *vector) { v.Env[name] = value } }
	inline := write("dev.yml", "services: {web: {build: {dockerfile_inline: \"FROM base\\n$LINE\\n\"}}}\n")
	stage := func(value, target string) func(*vector) {
		return func(v *vector) {
			v.Files["dev/Dockerfile"] = "FROM scratch AS a\nARG TARGETSTAGE\nCOPY of-$TARGETSTAGE /\n"
			v.Files["of-"+value] = ""
			v.Files["dev.yml"] = "services: {app: {build: {target: \"" + target + "\"}}}\n"
		}
	}
	tests := map[string]struct {
		settings []string
		both     func(*vector) // what is there before and after
		change   func(*vector)
		want     []string
	}{
		"a comment in a Compose file":                                 {change: func(v *vector) { v.Files["compose.yml"] += "# x\n" }, want: all},
		"a comment in the second file":                                {change: func(v *vector) { v.Files["dev.yml"] += "# x\n" }, want: all},
		"a comment in an included file":                               {change: func(v *vector) { v.Files["more/compose.yml"] += "# x\n" }, want: all},
		"a comment in devcontainer.json":                              {change: func(v *vector) { v.Files[".devcontainer.json"] += "// x\n" }, want: all},
		"a comment in .env":                                           {change: func(v *vector) { v.Files[".env"] += "# x\n" }, want: none},
		"a variable of .env that a build gets":                        {change: write(".env", "VERSION=2\nDEV_USER=me\n"), want: []string{"web"}},
		"a variable of .env that Features get":                        {change: write(".env", "VERSION=1\nDEV_USER=you\n"), want: []string{"app"}},
		"a variable of .env for a container":                          {change: write(".env", "VERSION=1\nDEV_USER=me\nUNRELATED=2\n"), want: none},
		"a default platform of .env":                                  {change: write(".env", "VERSION=1\nDEV_USER=me\nDOCKER_DEFAULT_PLATFORM=linux/arm64\n"), want: all},
		"a Dockerfile":                                                {change: write("web/Dockerfile", "FROM base # x\n"), want: []string{"web"}},
		"the dev container's Dockerfile":                              {change: write("dev/Dockerfile", "FROM base # x\n"), want: []string{"app"}},
		"a variable of the machine":                                   {change: set("USER", "you"), want: none},
		"a variable of the machine, with all":                         {settings: every, change: set("USER", "you"), want: []string{"app"}},
		"one that overrides .env, with all":                           {settings: every, change: set("VERSION", "3"), want: []string{"web"}},
		"one for a container, with all":                               {settings: every, change: set("UNRELATED", "3"), want: none},
		"a variable of the machine in an inline Dockerfile":           {both: inline, change: set("LINE", "COPY b /"), want: none},
		"a variable of .env in an inline Dockerfile":                  {both: inline, change: write(".env", "VERSION=1\nDEV_USER=me\nLINE=COPY c /\n"), want: []string{"web"}},
		"one of the machine in an inline Dockerfile, with all":        {settings: []string{hash.InputLocalEnv}, both: inline, change: set("LINE", "COPY b /"), want: []string{"web"}},
		"an inline Dockerfile":                                        {both: inline, change: func(v *vector) { v.Files["dev.yml"] += "# x\n" }, want: all},
		"a file of the dev container's TARGETSTAGE, without a target": {settings: every, both: stage("default", ""), change: write("of-default", "x"), want: []string{"app"}},
		"a file of the dev container's TARGETSTAGE, with a target":    {settings: every, both: stage("dev_containers_target_stage", "a"), change: write("of-dev_containers_target_stage", "x"), want: []string{"app"}},
		"a copied file":                                               {change: write("web/page", "x"), want: none},
		"a copied file, with all":                                     {settings: every, change: write("web/page", "x"), want: []string{"web"}},
		"another file, with all":                                      {settings: every, change: write("web/other", "x"), want: none},
		"a file of a named context, with all":                         {settings: every, change: write("lib/x", "x"), want: []string{"app"}},
		"a file that both ignore files hide":                          {settings: every, both: write("more/.dockerignore", "seed/*.log\n"), change: write("more/seed/b.log", "x"), want: none},
		"an ignore file that hides what the own one hides":            {settings: every, change: write("more/.dockerignore", "seed/*.log\n"), want: []string{"db"}},
		"an own ignore file that hides more, without another":         {settings: every, change: write("more/Dockerfile.dockerignore", "**/*.log\nseed/a\n"), want: []string{"db"}},
		"an own ignore file that hides more than another":             {settings: every, both: write("more/.dockerignore", "**/*.log\n"), change: write("more/Dockerfile.dockerignore", "**/*.log\nseed/a\n"), want: []string{"db"}},
		"an ignore file of podman that hides more than docker's":      {settings: every, both: write("web/.dockerignore", "x\n"), change: write("web/.containerignore", "page\n"), want: []string{"web"}},
		"an ignore file alone that hides nothing that is there":       {settings: every, change: write("web/.dockerignore", "x\n"), want: none},
		"an ignore file that hides something else":                    {settings: every, change: write("more/.dockerignore", "*.md\n"), want: []string{"db"}},
		"a file that the own ignore file alone hides":                 {settings: every, change: write("more/seed/b.log", "x"), want: []string{"db"}},
		"a file that it does not hide":                                {settings: every, change: write("more/seed/a", "x"), want: []string{"db"}},
		"a file that the CLI's copy does not see hidden":              {settings: every, change: write("app", "x"), want: []string{"app"}},
		"a local Feature, with all":                                   {settings: every, change: write("feature/install.sh", "x"), want: []string{"app"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, after := shop(), shop()
			before.Settings, after.Settings = test.settings, test.settings
			if test.both != nil {
				test.both(&before)
				test.both(&after)
			}
			test.change(&after)
			if changed := changedServices(before.keys(t), after.keys(t)); !slices.Equal(changed, test.want) {
				t.Errorf("changed %q, want %q", changed, test.want)
			}
		})
	}
}

// changedServices returns the services of which the keys differ, by name.
func changedServices(before, after []vectorKey) []string {
	hashes := map[string]string{}
	for _, key := range before {
		hashes[key.Service] = key.Hash
	}
	changed := map[string]bool{}
	for _, key := range after {
		if hashes[key.Service] != key.Hash {
			changed[key.Service] = true
		}
		delete(hashes, key.Service)
	}
	for name := range hashes {
		changed[name] = true
	}
	return append([]string{}, slices.Sorted(maps.Keys(changed))...)
}

func TestAKeyDoesNotDependOnTheFoldersName(t *testing.T) {
	v := shop()
	delete(v.Files, "dev.yml")
	v.Files[".devcontainer.json"] = `{"dockerComposeFile": "compose.yml", "service": "app"}`
	v.Files["compose.yml"] = "services: {app: {build: {context: \"${PWD_OF_NONE:-.}\", args: {N: \"${COMPOSE_PROJECT_NAME}\"}}}}"
	v.Files["Dockerfile"] = "FROM base\n"
	first := workspaceOf(t, v.Files)
	second := filepath.Join(filepath.Dir(first), "another")
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	var hashes []string
	for _, workspace := range []string{first, second} {
		project, err := load(t, workspace, nil)
		if err != nil {
			t.Fatal(err)
		}
		key, err := project.Services[0].ComputeKey(t.Context(), hash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, key.Hash)
	}
	if hashes[0] != hashes[1] {
		t.Errorf("%s in one folder, %s in another", hashes[0], hashes[1])
	}
}

func TestAKeyDoesNotDependOnTheHomeFolder(t *testing.T) {
	v := vector{Files: map[string]string{
		".devcontainer.json": `{"dockerComposeFile": "compose.yml", "service": "app"}`,
		"compose.yml":        "services: {app: {image: base}, web: {build: {context: \"${CONTEXT:-~}\", additional_contexts: {lib: ~/lib, etc: /etc}}}}\n",
		"Dockerfile":         "FROM base\n",
	}, Env: map[string]string{"CONTEXT": "."}}
	for _, home := range []string{"/home/me", "/home/you"} {
		t.Setenv("HOME", home)
		want := `{"build":{"additional_contexts":{"etc":"/etc","lib":"~/lib"},"context":"~","dockerfile":"~/Dockerfile"}}`
		if got := v.keys(t)[1].Resolved; got != want {
			t.Errorf("with %s: %s, want %s", home, got, want)
		}
	}
}

func TestWarningsAndCompleteness(t *testing.T) {
	v := shop()
	v.Settings = hash.Settings
	project, err := load(t, workspaceOf(t, v.Files), v.Env)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		settings []string
		want     map[string]string
	}{
		"by default": {want: map[string]string{
			"app": "BuildContextNotCovered dev/Dockerfile:2, BaseImageNotPinned dev/Dockerfile:1, FeatureNotCovered .devcontainer.json:0, LocalEnvNotCovered compose.yml:0, LocalEnvNotCovered compose.yml:0",
			"db":  "BuildContextNotCovered more/Dockerfile:2, BaseImageNotPinned more/Dockerfile:1",
			"web": "BuildContextNotCovered web/Dockerfile:2, BaseImageNotPinned web/Dockerfile:1, LocalEnvNotCovered compose.yml:0",
		}},
		"with all": {settings: hash.Settings, want: map[string]string{"app": "IgnoreFileNotUsed dev/Dockerfile.dockerignore:0", "db": "", "web": ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range project.Services {
				service := &project.Services[i]
				key, err := service.ComputeKey(t.Context(), hash.Options{
					Inputs: test.settings, Resolve: func(context.Context, string, string) (string, error) { return anyDigest, nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				var told []string
				for _, w := range key.Warnings {
					told = append(told, string(w.Code)+" "+w.Path+":"+string(rune('0'+w.Line)))
				}
				if got := strings.Join(told, ", "); got != test.want[service.Name] {
					t.Errorf("%s: %q, want %q", service.Name, got, test.want[service.Name])
				}
				if want := test.settings != nil; key.Complete != want {
					t.Errorf("%s: complete %v, want %v", service.Name, key.Complete, want)
				}
			}
		})
	}
}

func TestLoadNeedsAConfigurationOfCompose(t *testing.T) {
	for name, c := range map[string]*devcontainer.Configuration{
		"an image":     {Type: devcontainer.TypeImage, Workspace: "/w"},
		"no workspace": {Type: devcontainer.TypeCompose, Service: "app"},
	} {
		if _, err := Load(t.Context(), c, lookupIn(nil)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
