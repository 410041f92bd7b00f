package differential

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
	"imagecache.dev/test/engine"
)

// property is one thing that a build may take from the configuration, the workspace or the machine, with two values.
type property struct {
	name string
	// json is the devcontainer.json. VALUE stands for the value, ${VALUE} for a variable of the machine that has it,
	// BASE and ENVBASE for the base images, MOVING for one that has the value in it, NOTED for a Feature of a registry
	// and NOTEDONE and NOTEDTWO for its digests.
	json string
	// files beside the common ones, with VALUE and BASE as well.
	files map[string]string
	// values are "one" and "two" where empty.
	values [2]string
	// nothing says that the value does not reach the image.
	nothing bool
	// folder says that the value is the name of the workspace's folder.
	folder bool
	// short rows are in a short run.
	short bool
	// machine is the variable of the machine that has the value.
	machine string
}

// valueVariable is the environment variable behind ${VALUE}.
const valueVariable = "IMAGECACHE_TEST_VALUE"

// Configurations of the rows.
const (
	withFeature = `"features": {"./feature": {}}`
	twoFeatures = `"features": {"./feature": {}, "./other": {}}`
	inContext   = `"build": {"dockerfile": "Dockerfile", "context": ".."`
)

// propertyFiles are the files that the rows have in common. The Features note what reaches them.
var propertyFiles = map[string]string{
	"one/file": "1", "two/file": "2",
	".devcontainer/Dockerfile": "FROM BASE AS one\nARG ARGUMENT=none\nRUN echo $ARGUMENT >/argument\n" +
		"FROM one AS two\nRUN echo two >/stage\nCOPY one/file /\n",
	".devcontainer/Dockerfile.one":                    "FROM BASE\nRUN echo 1 >/number\n",
	".devcontainer/Dockerfile.two":                    "FROM BASE\nRUN echo 2 >/number\n",
	".devcontainer/Dockerfile.plain":                  "FROM BASE\nCOPY file /\n",
	".devcontainer/Dockerfile.named":                  "FROM BASE\nCOPY --from=named file /\n",
	".devcontainer/feature/devcontainer-feature.json": `{"id": "feature", "version": "1.0.0", "name": "Feature", "options": {"option": {"type": "string", "default": "none"}}}`,
	".devcontainer/feature/install.sh":                noteScript + "cat extra >>/noted\n",
	".devcontainer/feature/extra":                     "extra\n",
	".devcontainer/other/devcontainer-feature.json":   `{"id": "other", "version": "1.0.0", "name": "Other"}`,
	".devcontainer/other/install.sh":                  "#!/bin/sh\necho other >>/noted\n",
}

const noteScript = "#!/bin/sh\necho feature >>/noted\nenv | grep -E '^(_REMOTE|_CONTAINER|OPTION|SET)' | sort >>/noted\n"

// properties are the rows of the table in docs/hash.md.
var properties = []property{
	// What the image is built from.
	{name: "image", json: `{"image": "VALUE"}`, values: [2]string{"BASE", "ENVBASE"}},
	{name: "image, by a variable", json: `{"image": "${VALUE}"}`, values: [2]string{"BASE", "ENVBASE"}},
	{name: "the base image under its name", short: true, json: `{` + inContext + `}}`,
		files: map[string]string{".devcontainer/Dockerfile": "FROM MOVING\n"}},
	{name: "the base image's metadata, with Features", short: true, json: `{` + inContext + `}, ` + withFeature + `}`,
		files: map[string]string{".devcontainer/Dockerfile": "FROM MOVING\n"}},
	{name: "build.dockerfile", json: `{"build": {"dockerfile": "Dockerfile.VALUE"}}`},
	{name: "build.dockerfile, by a variable", json: `{"build": {"dockerfile": "Dockerfile.${VALUE}"}}`},
	{name: "dockerFile, by a variable", short: true, json: `{"dockerFile": "Dockerfile.${VALUE}"}`},
	{name: "the Dockerfile", json: `{"dockerFile": "Dockerfile"}`,
		files: map[string]string{".devcontainer/Dockerfile": "FROM BASE\nRUN echo VALUE >/value\n"}},
	{name: "USER of the Dockerfile, with Features", json: `{"dockerFile": "Dockerfile", ` + withFeature + `}`,
		files: map[string]string{".devcontainer/Dockerfile": "FROM BASE\nUSER VALUE\n"}, values: [2]string{"root", "nobody"}},
	{name: "build.context, by a variable", short: true,
		json: `{"build": {"dockerfile": "Dockerfile.plain", "context": "../${VALUE}"}}`},
	{name: "context, by a variable", json: `{"dockerFile": "Dockerfile.plain", "context": "../${VALUE}"}`},
	{name: "build.target", json: `{` + inContext + `, "target": "VALUE"}}`},
	{name: "build.target, by a variable", json: `{` + inContext + `, "target": "${VALUE}"}}`},
	{name: "build.args", json: `{` + inContext + `, "args": {"ARGUMENT": "VALUE"}}}`},
	{name: "build.args, by a variable", json: `{` + inContext + `, "args": {"ARGUMENT": "${VALUE}"}}}`},
	{name: "build.args, by a default",
		json: `{` + inContext + `, "args": {"ARGUMENT": "${localEnv:IMAGECACHE_TEST_UNSET:VALUE}"}}}`},
	{name: "localWorkspaceFolder", json: `{` + inContext + `, "args": {"ARGUMENT": "${localWorkspaceFolder}"}}}`,
		folder: true},
	{name: "localWorkspaceFolderBasename",
		json: `{` + inContext + `, "args": {"ARGUMENT": "${localWorkspaceFolderBasename}"}}}`, folder: true},
	{name: "containerWorkspaceFolder", short: true,
		json: `{` + inContext + `, "args": {"ARGUMENT": "${containerWorkspaceFolder}"}}}`, folder: true},
	{name: "containerWorkspaceFolderBasename",
		json: `{` + inContext + `, "args": {"ARGUMENT": "${containerWorkspaceFolderBasename}"}}}`, folder: true},
	{name: "workspaceFolder, by a variable",
		json: `{` + inContext + `, "args": {"ARGUMENT": "${containerWorkspaceFolder}"}}, "workspaceFolder": "/w/${VALUE}"}`},

	// build.options.
	{name: "--build-arg with a value", json: `{` + inContext + `, "options": ["--build-arg", "ARGUMENT=${VALUE}"]}}`},
	{name: "--build-arg without a value", short: true,
		json: `{` + inContext + `, "options": ["--build-arg", "ARGUMENT"]}}`, machine: "ARGUMENT"},
	{name: "--target", short: true, json: `{` + inContext + `, "options": ["--target=${VALUE}"]}}`},
	{name: "--label", json: `{` + inContext + `, "options": ["--label", "some=${VALUE}"]}}`},
	{name: "--build-context",
		json: `{"build": {"dockerfile": "Dockerfile.named", "options": ["--build-context=named=${VALUE}"]}}`},
	{name: "a file of a named context",
		json:  `{"build": {"dockerfile": "Dockerfile.named", "options": ["--build-context=named=one"]}}`,
		files: map[string]string{"one/file": "VALUE"}},

	// Files of the workspace.
	{name: "a file of the context", json: `{` + inContext + `}}`, files: map[string]string{"one/file": "VALUE"}},
	{name: "the ignore file", json: `{` + inContext + `}}`, values: [2]string{"file", "other"},
		files: map[string]string{".devcontainer/Dockerfile": "FROM BASE\nCOPY one /one\n", ".dockerignore": "**/VALUE", "one/other": ""}},
	{name: "install.sh of a Feature", json: `{"image": "BASE", ` + withFeature + `}`,
		files: map[string]string{".devcontainer/feature/install.sh": "#!/bin/sh\necho VALUE >/noted\n"}},
	{name: "another file of a Feature", json: `{"image": "BASE", ` + withFeature + `}`,
		files: map[string]string{".devcontainer/feature/extra": "VALUE"}},
	{name: "devcontainer-feature.json", json: `{"image": "BASE", ` + withFeature + `}`, files: map[string]string{
		".devcontainer/feature/devcontainer-feature.json": `{"id": "feature", "containerEnv": {"SET": "VALUE"}, "init": true}`}},
	{name: "the lockfile", short: true, json: `{"image": "BASE", "features": {"NOTED": {}}}`,
		files: map[string]string{
			".devcontainer/devcontainer-lock.json": `{"features": {"NOTED": {"version": "1.0.0", "resolved": "NOTED@VALUE", "integrity": "VALUE"}}}`},
		values: [2]string{"NOTEDONE", "NOTEDTWO"}},
	{name: "a Feature that a local Feature depends on", short: true, json: `{"image": "BASE", ` + withFeature + `}`,
		files: map[string]string{
			".devcontainer/feature/devcontainer-feature.json": `{"id": "feature", "dependsOn": {"./other": {}}}`,
			".devcontainer/other/install.sh":                  "#!/bin/sh\necho VALUE >/noted\n"}},

	// Properties that count with Features alone.
	{name: "features, options", json: `{"image": "BASE", "features": {"./feature": {"option": "VALUE"}}}`},
	{name: "features, options by a variable",
		json: `{"image": "BASE", "features": {"./feature": {"option": "${VALUE}"}}}`},
	{name: "overrideFeatureInstallOrder, by a variable", short: true,
		json:   `{"image": "BASE", ` + twoFeatures + `, "overrideFeatureInstallOrder": ["./${VALUE}"]}`,
		values: [2]string{"feature", "other"}},
	{name: "containerEnv, with Features, by a variable", short: true,
		json: `{"image": "BASE", ` + withFeature + `, "containerEnv": {"SET": "${VALUE}"}}`},
	{name: "remoteUser, with Features, by a variable", short: true,
		json:   `{"image": "BASE", ` + withFeature + `, "remoteUser": "${VALUE}"}`,
		values: [2]string{"root", "nobody"}},
	{name: "containerUser, with Features, by a variable", short: true,
		json:   `{"image": "BASE", ` + withFeature + `, "containerUser": "${VALUE}"}`,
		values: [2]string{"root", "nobody"}},

	// The metadata label, which has the properties as they are written.
	{name: "remoteUser", json: `{"image": "BASE", "remoteUser": "VALUE"}`},
	{name: "containerEnv", json: `{"image": "BASE", "containerEnv": {"SET": "VALUE"}}`},
	{name: "remoteEnv, mounts, customizations and commands",
		json: `{"image": "BASE", "remoteEnv": {"A": "VALUE"}, "mounts": ["VALUE"],
		"customizations": {"VALUE": {}}, "postCreateCommand": "VALUE"}`},

	// What does not reach an image.
	{name: "remoteUser and containerUser, by a variable", nothing: true,
		json: `{"image": "BASE", "remoteUser": "${VALUE}", "containerUser": "${VALUE}"}`},
	{name: "containerEnv, by a variable", nothing: true,
		json: `{"image": "BASE", "containerEnv": {"SET": "${VALUE}"}}`},
	{name: "remoteEnv, mounts, customizations and commands, by a variable", short: true, nothing: true,
		json: `{"image": "BASE", "remoteEnv": {"A": "${VALUE}"},
		"mounts": ["${VALUE}"], "customizations": {"x": {"a": "${VALUE}"}}, "postCreateCommand": "${VALUE}"}`},
	{name: "build beside image, by a variable", nothing: true,
		json: `{"image": "BASE", "build": {"args": {"ARGUMENT": "${VALUE}"}, "target": "${VALUE}", "options": ["--label=a=${VALUE}"]}}`},
	{name: "name, runArgs, appPort, workspaceMount, secrets and initializeCommand", nothing: true,
		json: `{"image": "BASE", "name": "VALUE", "runArgs": ["--user=VALUE"],
		"appPort": ["VALUE"], "workspaceMount": "VALUE", "secrets": {"VALUE": {}}, "initializeCommand": "VALUE"}`},
	{name: "name, runArgs, appPort, workspaceMount and initializeCommand, by a variable", short: true, nothing: true,
		json: `{"image": "BASE", "name": "${VALUE}", "runArgs": ["--user=${VALUE}"], "appPort": ["${VALUE}"], "workspaceMount": "${VALUE}", "initializeCommand": "${VALUE}"}`},
	{name: "the name of the workspace's folder", nothing: true, json: `{` + inContext + `}}`, folder: true},
	{name: "a file that the Dockerfile does not copy", nothing: true, json: `{` + inContext + `}}`,
		files: map[string]string{"two/file": "VALUE"}},
	{name: "LANG, which orders Features", short: true, nothing: true, machine: "LANG",
		values: [2]string{"C", "da_DK.UTF-8"},
		json:   `{"image": "BASE", "features": {"./z": {}, "./aa": {}}}`, files: map[string]string{
			".devcontainer/z/devcontainer-feature.json": `{"id": "z"}`, ".devcontainer/z/install.sh": "#!/bin/sh\necho z >>/noted\n",
			".devcontainer/aa/devcontainer-feature.json": `{"id": "aa"}`, ".devcontainer/aa/install.sh": "#!/bin/sh\necho aa >>/noted\n",
		}},
	{name: "SOURCE_DATE_EPOCH", nothing: true, machine: "SOURCE_DATE_EPOCH", values: [2]string{"0", "1000"},
		json: `{` + inContext + `}}`, files: map[string]string{".devcontainer/Dockerfile": "FROM BASE\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH >/epoch\n"}},
}

// TestKeysFollowEveryProperty builds by the reference CLI with two values of everything that may reach an image, and
// compares files and configurations of both images, and both keys with all settings on.
func TestKeysFollowEveryProperty(t *testing.T) {
	engines := []engine.Kind{buildKit} // it takes a second for a build by the CLI, and podman takes ten
	if long() {
		engines = kinds
	}
	for _, kind := range engines {
		t.Run(string(kind), func(t *testing.T) {
			m := startMachine(t, kind)
			m.useCLI(t)
			m.bases.provideFeature(t)
			for _, row := range properties {
				if !row.short && !long() {
					continue
				}
				t.Run(row.name, func(t *testing.T) { row.compare(t, m) })
			}
		})
	}
}

func (p property) compare(t *testing.T, m *machine) {
	parent := t.TempDir()
	if p.values == [2]string{} {
		p.values = [2]string{"one", "two"}
	}
	var images [2]*image
	var keys [2]*hash.Key
	for n, value := range p.values {
		value = m.names(value)
		workspace := filepath.Join(parent, "workspace")
		if p.folder {
			workspace = filepath.Join(parent, value)
		}
		if err := os.RemoveAll(workspace); err != nil {
			t.Fatal(err)
		}
		p.write(t, m, workspace, value)
		variable := valueVariable
		if p.machine != "" {
			variable = p.machine
		}
		t.Setenv(variable, value)
		if strings.Contains(p.files[".devcontainer/Dockerfile"], "MOVING") {
			m.move(t, value)
		}
		keys[n] = wholeKey(t, workspace)
		var err error
		// Podman's cache takes no notice of what a step mounts.
		if images[n], err = m.buildByCLI(t, workspace, !m.Kind.HasBuildKit()); err != nil {
			t.Fatal(err)
		}
	}
	difference := images[0].difference(images[1])
	switch sameKey := keys[0].Hash == keys[1].Hash; {
	case p.nothing && difference != "":
		t.Errorf("the images differ:\n%s", difference)
	case p.nothing && !sameKey && !strings.Contains(strings.ReplaceAll(p.json, "${VALUE}", ""), "VALUE"):
		t.Errorf("the images are the same, and the keys differ:\n%v\n%v", keys[0].Inputs, keys[1].Inputs)
	case !p.nothing && difference == "":
		t.Errorf("the images are the same, so this row tests nothing")
	case !p.nothing && sameKey:
		t.Errorf("the images differ, and the keys are the same:\n%s", difference)
	}
}

// names replaces the names of base images.
func (m *machine) names(text string) string {
	return strings.NewReplacer("ENVBASE", m.env, "MOVING", m.moving(), "BASE", m.base,
		"NOTEDONE", m.bases.noted[0], "NOTEDTWO", m.bases.noted[1], "NOTED", m.bases.notedName()).Replace(text)
}

func (m *machine) moving() string { return strings.Replace(m.base, "/base:", "/moving:", 1) }

// move puts another image under the name MOVING.
func (m *machine) move(t *testing.T, value string) {
	t.Helper()
	m.bases.provide(t, m.moving(), configured(t, m.bases.images[m.base], func(c *v1.Config) {
		c.Labels = map[string]string{"value": value, devcontainer.MetadataLabel: `[{"remoteUser": "` + value + `"}]`}
	}))
	m.Load(t, m.bases.images[m.moving()], m.moving())
}

// write writes the workspace of a row with one value.
func (p property) write(t *testing.T, m *machine, workspace, value string) {
	t.Helper()
	files := maps.Clone(propertyFiles)
	maps.Copy(files, p.files)
	files[".devcontainer/devcontainer.json"] = strings.ReplaceAll(p.json, "${VALUE}", "${localEnv:"+valueVariable+"}")
	for name, content := range files {
		full := filepath.Join(workspace, name)
		content = m.names(strings.ReplaceAll(strings.ReplaceAll(content, valueVariable, "\x00"), "VALUE", value))
		content = strings.ReplaceAll(content, "\x00", valueVariable)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// wholeKey returns a workspace's key with all settings on.
func wholeKey(t *testing.T, workspace string) *hash.Key {
	t.Helper()
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hash.Compute(t.Context(), configuration, hash.Options{Inputs: hash.Settings})
	if err != nil {
		t.Fatal(err)
	}
	return key
}
