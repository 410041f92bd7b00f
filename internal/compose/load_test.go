package compose

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
)

// workspaceOf writes files into a new folder. It lies in a folder of its own, so that ".." is one, too.
func workspaceOf(t *testing.T, files map[string]string) string {
	t.Helper()
	workspace := filepath.Join(t.TempDir(), "shop")
	for name, content := range files {
		place := filepath.Join(workspace, name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := env[name]
		return value, found
	}
}

func load(t *testing.T, workspace string, env map[string]string) (*Project, error) {
	t.Helper()
	c, err := devcontainer.Source{Workspace: workspace, LookupEnv: lookupIn(env)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return Load(t.Context(), c, lookupIn(env))
}

// summary is what a test says of a project.
type summary struct {
	Files    []string
	Services []string
	// Resolved are the services as they go into their keys.
	Resolved []string
	Images   []string
	// Variables and Warnings of all services.
	Variables, Warnings []string
}

func summaryOf(p *Project) summary {
	s := summary{Images: p.Images}
	for _, file := range p.Files {
		s.Files = append(s.Files, file.Path)
	}
	for _, service := range p.Services {
		name := service.Name
		if service.DevContainer {
			name += " (dev container)"
		}
		s.Services = append(s.Services, name)
		s.Resolved = append(s.Resolved, string(service.Composed.Resolved))
		for _, variable := range service.Configuration.Variables {
			s.Variables = append(s.Variables, service.Name+" "+variable.Name+"="+variable.Value)
		}
		for _, warning := range service.Composed.Warnings {
			s.Warnings = append(s.Warnings, service.Name+" "+string(warning.Code))
		}
	}
	return s
}

const app = `{"dockerComposeFile": "compose.yml", "service": "app"}`

// loadCase is a workspace and what Load says of it.
type loadCase struct {
	json  string // app where empty
	files map[string]string
	env   map[string]string
	want  summary
}

var loadCases = map[string]loadCase{
	"an image": {
		files: map[string]string{"compose.yml": "services: {app: {image: base, user: me}}"},
		want:  summary{Files: []string{"compose.yml"}, Services: []string{"app (dev container)"}, Resolved: []string{`{"image":"base"}`}},
	},
	"builds and images": {
		files: map[string]string{
			"compose.yml":    "services:\n  web: {build: web}\n  app: {build: {context: ., dockerfile: dev/Dockerfile, target: dev, args: {A: 1, B: x}}}\n  db: {image: postgres}\n",
			"dev/Dockerfile": "FROM base AS dev\n", "web/Dockerfile": "FROM base\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "web"}, Images: []string{"db"},
			Resolved: []string{
				`{"build":{"args":{"A":"1","B":"x"},"context":".","dockerfile":"dev/Dockerfile","target":"dev"}}`,
				`{"build":{"context":"web","dockerfile":"web/Dockerfile"}}`,
			},
		},
	},
	"runServices and what they need": {
		json: `{"dockerComposeFile": "compose.yml", "service": "app", "runServices": ["cache"]}`,
		files: map[string]string{
			"compose.yml":   "services:\n  app: {image: base, depends_on: [db]}\n  db: {build: db}\n  cache: {build: cache}\n  other: {build: other}\n",
			"db/Dockerfile": "FROM base\n", "cache/Dockerfile": "FROM base\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "cache", "db"},
			Resolved: []string{`{"image":"base"}`, `{"build":{"context":"cache","dockerfile":"cache/Dockerfile"}}`, `{"build":{"context":"db","dockerfile":"db/Dockerfile"}}`},
		},
	},
	"profiles": {
		files: map[string]string{
			"compose.yml":   "services:\n  app: {image: base, profiles: [dev]}\n  off: {build: off, profiles: [x]}\n  on: {build: on, profiles: [y]}\n",
			"on/Dockerfile": "FROM base\n", ".env": "COMPOSE_PROFILES=y\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "on"},
			Resolved: []string{`{"image":"base"}`, `{"build":{"context":"on","dockerfile":"on/Dockerfile"}}`},
		},
	},
	"several files, from the configuration's folder": {
		json: `{"dockerComposeFile": ["../compose.yml", "more.yml"], "service": "app"}`,
		files: map[string]string{
			"compose.yml": "services: {app: {build: .}}", "Dockerfile": "FROM base\n",
			".devcontainer/more.yml": "services: {app: {build: {target: dev}, platform: linux/arm64}}",
		},
		want: summary{
			Files: []string{"compose.yml", ".devcontainer/more.yml"}, Services: []string{"app (dev container)"},
			Resolved: []string{`{"build":{"context":".","dockerfile":"Dockerfile","target":"dev"},"platform":"linux/arm64"}`},
		},
	},
	"what files include and extend, at any depth": {
		files: map[string]string{
			"compose.yml":       "include: [sub/inc.yml]\nservices: {app: {extends: {file: sub/base.yml, service: base}}}",
			"sub/inc.yml":       "services: {db: {build: db}}",
			"sub/base.yml":      "services: {base: {extends: {file: deep/root.yml, service: root}, build: {args: {A: a}}}}",
			"sub/deep/root.yml": "services: {root: {build: {context: ctx, dockerfile: D, target: t}}}",
			"sub/deep/ctx/D":    "FROM base AS t\n", "sub/db/Dockerfile": "FROM base\n",
		},
		want: summary{
			Files: []string{"compose.yml", "sub/base.yml", "sub/deep/root.yml", "sub/inc.yml"}, Services: []string{"app (dev container)", "db"},
			Resolved: []string{
				`{"build":{"args":{"A":"a"},"context":"sub/deep/ctx","dockerfile":"sub/deep/ctx/D","target":"t"}}`,
				`{"build":{"context":"sub/db","dockerfile":"sub/db/Dockerfile"}}`,
			},
		},
	},
	"an include's own variables": {
		files: map[string]string{
			"compose.yml": "include: [sub/inc.yml, {path: other/inc.yml, env_file: other/more.env}]\nservices: {app: {image: base}}",
			"sub/inc.yml": "services: {a: {build: {context: ., target: \"${T}\"}}}", "sub/.env": "T=sub\n", "sub/Dockerfile": "FROM base AS sub\n",
			"other/inc.yml": "services: {b: {build: {context: ., target: \"${T}\"}}}", "other/more.env": "T=other\n", "other/Dockerfile": "FROM base AS other\n",
		},
		want: summary{
			Files: []string{"compose.yml", "other/inc.yml", "sub/inc.yml"}, Services: []string{"app (dev container)", "a", "b"},
			Resolved: []string{
				`{"image":"base"}`, `{"build":{"context":"sub","dockerfile":"sub/Dockerfile","target":"sub"}}`,
				`{"build":{"context":"other","dockerfile":"other/Dockerfile","target":"other"}}`,
			},
			Variables: []string{"a T=", "b T="},
		},
	},
	"variables of the machine stay out of what every machine reads alike": {
		files: map[string]string{
			"compose.yml": "services:\n  app:\n    build: {context: ., args: [\"A=${A}\", \"B=${B:-b}\", C, \"D=${D:?set D}\", \"E=$$E\"]}\n    environment: [\"X=${UNUSED}\"]\n    ports: [\"${PORT}:80\"]\n",
			".env":        "B=from-file\nA=${USER}-a\n", "Dockerfile": "FROM base\n",
		},
		env: map[string]string{"USER": "me", "B": "machine", "C": "c", "D": "d", "PORT": "80", "UNUSED": "u"},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)"},
			Resolved:  []string{`{"build":{"args":{"A":"-a","B":"from-file","D":"${D:?set D}","E":"$E"},"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app A=", "app B=machine", "app C=c", "app D=d", "app USER=me"},
		},
	},
	"a name that a file gives": {
		files: map[string]string{"compose.yml": "name: my-${N:-shop}\nservices: {app: {build: {context: ., args: {N: \"${COMPOSE_PROJECT_NAME}\"}}}}", "Dockerfile": "FROM base\n"},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)"},
			Resolved:  []string{`{"build":{"args":{"N":"project"},"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app COMPOSE_PROJECT_NAME=my-shop"},
		},
	},
	"an include's variables from the first file's folder": {
		json: `{"dockerComposeFile": ["compose.yml", "sub/more.yml"], "service": "app"}`,
		files: map[string]string{
			"compose.yml":  "services: {app: {image: base}}",
			"sub/more.yml": "include: [{path: sub/inc.yml, env_file: [x.env, /dev/null]}]",
			"sub/inc.yml":  "services: {a: {build: {context: ., target: \"${T}\"}}}", "x.env": "T=x\n", "sub/Dockerfile": "FROM base AS x\n",
		},
		want: summary{
			Files: []string{"compose.yml", "sub/more.yml", "sub/inc.yml"}, Services: []string{"app (dev container)", "a"},
			Resolved:  []string{`{"image":"base"}`, `{"build":{"context":"sub","dockerfile":"sub/Dockerfile","target":"x"}}`},
			Variables: []string{"a T="},
		},
	},
	"what can't be read without variables, and builds nothing": {
		files: map[string]string{
			"compose.yml": "x-all: &all {volumes: [\"${DATA}:/data\"], build: &b {context: ., args: {A: \"${A}\"}}}\ninclude: [inc.yml]\n" +
				"services: {app: {<<: [*all], deploy: {replicas: \"${N}\"}, ports: [\"${PORT}:${PORT}\"], mem_limit: \"${MEM}\", init: \"${I}\"}, web: {build: *b, extends: {file: base.yml, service: web}}}",
			"inc.yml": "services: {db: {image: d, scale: \"${N}\"}}", "base.yml": "services: {web: {shm_size: \"${MEM}\", build: {target: t}}}", "Dockerfile": "FROM base\n",
		},
		env: map[string]string{"N": "2", "PORT": "80", "MEM": "1g", "I": "true", "A": "a", "DATA": "d"},
		want: summary{
			Files: []string{"compose.yml", "base.yml", "inc.yml"}, Services: []string{"app (dev container)", "web"}, Images: []string{"db"},
			Resolved: []string{
				`{"build":{"args":{"A":""},"context":".","dockerfile":"Dockerfile"}}`,
				`{"build":{"args":{"A":""},"context":".","dockerfile":"Dockerfile","target":"t"}}`,
			},
			Variables: []string{"app A=a", "web A=a"},
		},
	},
	"what builds and can't be read without variables": {
		files: map[string]string{"compose.yml": "include: [\"${X}.yml\"]\nservices: {app: {build: {context: ., args: {A: \"${A}\"}}}}", "x.yml": "services: {}", "Dockerfile": "FROM base\n"},
		env:   map[string]string{"X": "x", "A": "a"},
		want: summary{
			Files: []string{"compose.yml", "x.yml"}, Services: []string{"app (dev container)"},
			Resolved:  []string{`{"build":{"args":{"A":"a"},"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app A=a", "app X=x"}, Warnings: []string{"app LocalEnvInKey"},
		},
	},
	"a service of a file that a variable chooses": {
		files: map[string]string{"compose.yml": "include: [\"${X:-a}.yml\"]\nservices: {app: {image: base}}", "a.yml": "services: {}", "b.yml": "services: {b: {build: {context: ., args: {A: \"${A}\"}}}}", "Dockerfile": "FROM base\n"},
		env:   map[string]string{"X": "b", "A": "a"},
		want: summary{
			Files: []string{"compose.yml", "a.yml", "b.yml"}, Services: []string{"app (dev container)", "b"},
			Resolved:  []string{`{"image":"base"}`, `{"build":{"args":{"A":"a"},"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app A=a", "app X=b", "b A=a", "b X=b"}, Warnings: []string{"b LocalEnvInKey"},
		},
	},
	"a variable in a path": {
		files: map[string]string{
			"compose.yml": "include: [\"${WHICH:-a}.yml\"]\nservices: {app: {build: {context: ., args: [N, M]}}}", "Dockerfile": "FROM base\n",
			"a.yml": "services: {db: {image: \"x:${T}\"}}",
		},
		env: map[string]string{"M": "m"},
		want: summary{
			Files: []string{"compose.yml", "a.yml"}, Services: []string{"app (dev container)"}, Images: []string{"db"},
			Resolved:  []string{`{"build":{"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app M=m", "app N=", "app T=", "app WHICH="},
		},
	},
	"the workspace's folder in the container": {
		json:  `{"dockerComposeFile": "compose.yml", "service": "app", "features": {"registry.example/f:1": {"a": "${containerWorkspaceFolder}"}}}`,
		files: map[string]string{"compose.yml": "services: {app: {image: base}}"},
		want:  summary{Files: []string{"compose.yml"}, Services: []string{"app (dev container)"}, Resolved: []string{`{"image":"base"}`}, Variables: []string{"app containerWorkspaceFolder=/"}},
	},
	"the default platform of a file": {
		files: map[string]string{
			"compose.yml":    "services: {app: {build: .}, web: {build: web, platform: linux/386}}",
			"Dockerfile":     "FROM base\n",
			"web/Dockerfile": "FROM base\n",
			".env":           "DOCKER_DEFAULT_PLATFORM=linux/arm64\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "web"},
			Resolved: []string{
				`{"build":{"context":".","dockerfile":"Dockerfile"},"platform":"linux/arm64"}`,
				`{"build":{"context":"web","dockerfile":"web/Dockerfile"},"platform":"linux/386"}`,
			},
		},
	},
	"a default platform by a variable": {
		files: map[string]string{
			"compose.yml": "services: {app: {image: base}}",
			".env":        "DOCKER_DEFAULT_PLATFORM=linux/${ARCH:-arm64}\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)"},
			Resolved: []string{`{"image":"base","platform":"linux/arm64"}`}, Variables: []string{"app ARCH="},
		},
	},
	"the default platform of the machine": {
		files: map[string]string{
			"compose.yml": "services: {app: {image: base}, web: {build: ., platform: linux/386}}",
			"Dockerfile":  "FROM base\n",
			".env":        "DOCKER_DEFAULT_PLATFORM=linux/arm64\n",
		},
		env: map[string]string{"DOCKER_DEFAULT_PLATFORM": "linux/s390x"},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "web"},
			Resolved:  []string{`{"image":"base","platform":"linux/arm64"}`, `{"build":{"context":".","dockerfile":"Dockerfile"},"platform":"linux/386"}`},
			Variables: []string{"app DOCKER_DEFAULT_PLATFORM=linux/s390x"},
		},
	},
	"the user, with Features": {
		json:  `{"dockerComposeFile": "compose.yml", "service": "app", "features": {"registry.example/f:1": {"a": "${localEnv:F}"}}}`,
		files: map[string]string{"compose.yml": "services: {app: {image: \"base:${TAG-1}\", user: \"${U}\"}, db: {build: .}}", "Dockerfile": "FROM base\n"},
		env:   map[string]string{"F": "f"},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "db"},
			Resolved:  []string{`{"image":"base:1"}`, `{"build":{"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app F=f", "app TAG=", "app U="},
		},
	},
	"the project's name": {
		files: map[string]string{"compose.yml": "services: {app: {build: {context: ., args: {N: \"${COMPOSE_PROJECT_NAME}\"}}}}", "Dockerfile": "FROM base\n"},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)"},
			Resolved:  []string{`{"build":{"args":{"N":"project"},"context":".","dockerfile":"Dockerfile"}}`},
			Variables: []string{"app COMPOSE_PROJECT_NAME=shop"},
		},
	},
	"what no key covers": {
		files: map[string]string{
			"compose.yml": "include: [\"oci://registry.example/c:1\"]\nsecrets: {s: {environment: S}}\nservices:\n  app: {build: {context: ., ssh: [default], secrets: [s], additional_contexts: {base: \"service:db\", lib: lib}}}\n  db: {build: \"https://git.example/r.git\"}\n  inline: {build: {dockerfile_inline: \"FROM base\\n\"}}\n",
			"Dockerfile":  "FROM base\n",
		},
		want: summary{
			Files: []string{"compose.yml"}, Services: []string{"app (dev container)", "db", "inline"},
			Resolved: []string{
				`{"build":{"additional_contexts":{"base":"service:db","lib":"lib"},"context":".","dockerfile":"Dockerfile","secrets":["s"],"ssh":["default"]}}`,
				`{"build":{"context":"https://git.example/r.git","dockerfile":"Dockerfile"}}`,
				`{"build":{"context":".","dockerfile_inline":"FROM base\n"}}`,
			},
			Warnings: []string{
				"app BuildSecretNotCovered", "app BuildSecretNotCovered", "app ServiceContextNotCovered", "app ComposeIncludeNotCovered",
				"db RemoteSourceNotCovered", "db ComposeIncludeNotCovered", "inline ComposeIncludeNotCovered",
			},
		},
	},
	"the default files": {
		json:  `{"dockerComposeFile": [], "service": "app"}`,
		files: map[string]string{"docker-compose.yml": "services: {app: {image: base}}", "docker-compose.override.yml": "services: {app: {image: \"${I}\"}}", ".env": "I=other"},
		want: summary{
			Files: []string{"docker-compose.yml", "docker-compose.override.yml"}, Services: []string{"app (dev container)"},
			Resolved: []string{`{"image":"other"}`}, Variables: []string{"app I="},
		},
	},
	"the files of COMPOSE_FILE": {
		json:  `{"dockerComposeFile": null, "service": "app"}`,
		files: map[string]string{"a.yml": "services: {app: {image: base}}", "b/b.yml": "services: {app: {image: other}}", "docker-compose.yml": "", ".env": "COMPOSE_FILE=a.yml:b/b.yml\n"},
		want:  summary{Files: []string{"a.yml", "b/b.yml"}, Services: []string{"app (dev container)"}, Resolved: []string{`{"image":"other"}`}},
	},
	"links that stay in the workspace": {
		files: map[string]string{"real.yml": "services: {app: {image: base}}", "link:compose.yml": "real.yml"},
		want:  summary{Files: []string{"compose.yml"}, Services: []string{"app (dev container)"}, Resolved: []string{`{"image":"base"}`}},
	},
	"version 3, reset and anchors": {
		json:  `{"dockerComposeFile": ["compose.yml", "more.yml"], "service": "app"}`,
		files: map[string]string{"compose.yml": "version: '3.8'\nx-b: &b {build: {context: ., target: x}}\nservices: {app: {<<: *b, image: made}}", "more.yml": "services: {app: {build: !reset null}}"},
		want:  summary{Files: []string{"compose.yml", "more.yml"}, Services: []string{"app (dev container)"}, Resolved: []string{`{"image":"made"}`}},
	},
}

func TestLoad(t *testing.T) {
	for name, test := range loadCases {
		t.Run(name, func(t *testing.T) {
			p, err := load(t, workspaceWith(t, test.json, test.files), test.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summaryOf(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// workspaceWith writes a configuration, in .devcontainer where a Compose file is there, and files; "link:NAME" is a link.
func workspaceWith(t *testing.T, json string, files map[string]string) string {
	t.Helper()
	if json == "" {
		json = app
	}
	all := map[string]string{}
	place := ".devcontainer.json"
	for name, content := range files {
		if strings.HasPrefix(name, ".devcontainer/") {
			place = ".devcontainer/devcontainer.json"
		}
		if !strings.HasPrefix(name, "link:") {
			all[name] = content
		}
	}
	all[place] = json
	workspace := workspaceOf(t, all)
	for name, target := range files {
		if name, isLink := strings.CutPrefix(name, "link:"); isLink {
			if err := os.Symlink(target, filepath.Join(workspace, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return workspace
}

func TestBadInputGetsOneSentence(t *testing.T) {
	build := "services: {app: {build: .}}"
	tests := map[string]struct {
		json  string
		files map[string]string
		env   map[string]string
		want  string
	}{
		"no service":                              {json: `{"dockerComposeFile": "compose.yml"}`, want: `.devcontainer.json names no service; set "service" to the one`},
		"a service of none":                       {json: `{"dockerComposeFile": "compose.yml", "service": "x"}`, files: map[string]string{"compose.yml": "services: {b: {image: i}, a: {image: i}}"}, want: ".devcontainer.json names the service x, which is in none of the files; they have a, b"},
		"runServices of none":                     {json: `{"dockerComposeFile": "compose.yml", "service": "a", "runServices": ["y"]}`, files: map[string]string{"compose.yml": "services: {a: {image: i}}"}, want: "names the service y, which is in none of the files; they have a"},
		"no file":                                 {want: "compose.yml, named by .devcontainer.json, is not there"},
		"a file above":                            {json: `{"dockerComposeFile": "../compose.yml", "service": "app"}`, want: "../compose.yml, named by .devcontainer.json, is outside of the workspace"},
		"an absolute file":                        {json: `{"dockerComposeFile": "/etc/passwd", "service": "app"}`, want: "/etc/passwd, named by .devcontainer.json, is outside of the workspace"},
		"a link out":                              {files: map[string]string{"link:compose.yml": "/etc/passwd"}, want: "read Compose file compose.yml: "},
		"a folder":                                {files: map[string]string{"compose.yml/x": ""}, want: "not a regular file"},
		"an include above":                        {files: map[string]string{"compose.yml": "include: [../up.yml]\n" + build}, want: "../up.yml is outside of the workspace"},
		"an include elsewhere":                    {files: map[string]string{"compose.yml": "include: [/etc/passwd]\n" + build}, want: "/etc/passwd is outside of the workspace"},
		"an include by a variable":                {files: map[string]string{"compose.yml": "include: [\"${X}\"]\n" + build}, env: map[string]string{"X": "/etc/passwd"}, want: "/etc/passwd is outside of the workspace"},
		"an include far above":                    {files: map[string]string{"compose.yml": "include: [" + strings.Repeat("../", 40) + "etc/passwd]\n" + build}, want: "etc/passwd is outside of the workspace"},
		"an include that is a link out":           {files: map[string]string{"compose.yml": "include: [inc.yml]\n" + build, "link:inc.yml": "/etc/passwd"}, want: "read Compose file inc.yml: "},
		"an include's env_file elsewhere":         {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: /etc/passwd}]\n" + build}, want: "an include has the env_file /etc/passwd: want a path relative to the first file"},
		"an include's env_file by a variable":     {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: [\"${X}\"]}]\n" + build}, want: "an include has the env_file ${X}"},
		"an include's env_file above":             {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: ../x.env}]\n" + build, "a.yml": "services: {}"}, want: "../x.env, an env_file of an include, is outside of the workspace"},
		"an include's env_file of none":           {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: x.env}]\n" + build, "a.yml": "services: {}"}, want: "x.env, an env_file of an include, is not there"},
		"an include's project_directory":          {files: map[string]string{"compose.yml": "include: [{path: a.yml, project_directory: x}]\n" + build}, want: "project_directory"},
		"an include of none":                      {files: map[string]string{"compose.yml": "include: [a.yml]\n" + build}, want: "a.yml, named by another Compose file, is not there"},
		"a cycle of includes":                     {files: map[string]string{"compose.yml": "include: [a.yml]\n" + build, "a.yml": "include: [compose.yml]\n"}, want: "include cycle detected: compose.yml"},
		"a cycle by a second file":                {files: map[string]string{"compose.yml": "include: [{path: [a.yml, compose.yml]}]\n" + build, "a.yml": "services: {}"}, want: "its includes and extends lead to more than 5000 files, as a cycle does"},
		"extends elsewhere":                       {files: map[string]string{"compose.yml": "services: {app: {extends: {file: /etc/passwd, service: x}}}"}, want: "/etc/passwd is outside of the workspace"},
		"extends above":                           {files: map[string]string{"compose.yml": "services: {app: {extends: {file: ../a.yml, service: x}}}"}, want: "../a.yml is outside of the workspace"},
		"extends home":                            {files: map[string]string{"compose.yml": "services: {app: {extends: {file: a/a.yml, service: x}}}", "a/a.yml": "services: {x: {extends: {file: ~/x.yml, service: x}}}"}, want: "outside of the workspace"},
		"extends remote":                          {files: map[string]string{"compose.yml": "services: {app: {extends: {file: \"https://x.example/a.git\", service: x}}}"}, want: "https://x.example/a.git is somewhere else, and is not read"},
		"a cycle of extends":                      {files: map[string]string{"compose.yml": "services: {app: {extends: b}, b: {extends: app}}"}, want: "Circular reference: "},
		"version 1":                               {files: map[string]string{"compose.yml": "app:\n  image: x\n"}, want: `it is of version 1, which Docker Compose no longer reads: put its services below "services:"`},
		"an unset variable":                       {files: map[string]string{"compose.yml": "services: {app: {image: \"${TAG:?set TAG to the release}\"}}"}, want: "required variable TAG is missing a value: set TAG to the release"},
		"a name of nothing":                       {files: map[string]string{"compose.yml": "name: \"${UNSET}\"\n" + build}, want: "project name must not be empty"},
		"variables by a link out":                 {files: map[string]string{"compose.yml": build, "link:.env": "../up.yml"}, want: "escapes from parent; copy .env into the workspace"},
		"variables by a link out, of an include":  {files: map[string]string{"compose.yml": "include: [sub/a.yml]\n" + build, "sub/a.yml": "services: {}", "link:sub/.env": "../../up.yml"}, want: "copy sub/.env into the workspace"},
		"the default override by a link out":      {json: `{"dockerComposeFile": [], "service": "app"}`, files: map[string]string{"docker-compose.yml": build, "link:docker-compose.override.yml": "../up.yml"}, want: "copy docker-compose.override.yml into the workspace"},
		"the workspace's variables by a link out": {files: map[string]string{".devcontainer/devcontainer.json": "", ".devcontainer/compose.yml": "services: {app: {image: i}}", "link:.env": "../up.yml"}, want: "copy .env into the workspace"},
		"a project_directory in an included file": {files: map[string]string{"compose.yml": "include: [sub/a.yml]\nservices: {app: {image: i}}", "sub/a.yml": "include: [{path: b.yml, project_directory: ..}]", "sub/b.yml": "services: {}"}, want: "read Compose file sub/a.yml: an include has project_directory"},
		"an include's env_file far above":         {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: " + strings.Repeat("../", 40) + "etc/passwd}]\n" + build, "a.yml": "services: {}"}, want: "etc/passwd, an env_file of an include, is outside of the workspace"},
		"an include's env_file by a link":         {files: map[string]string{"compose.yml": "include: [{path: a.yml, env_file: x.env}]\n" + build, "a.yml": "services: {}", "link:x.env": "/etc/passwd"}, want: "copy x.env into the workspace"},
		"an env_file of an included file":         {files: map[string]string{"compose.yml": "include: [sub/a.yml]\n" + build, "sub/a.yml": "include: [{path: b.yml, env_file: load.go}]", "sub/b.yml": "services: {}"}, want: "read Compose file sub/a.yml: an include has the env_file load.go, which the cache follows only in a file of dockerComposeFile"},
		"an env_file of a file of both kinds":     {json: `{"dockerComposeFile": ["compose.yml", "b.yml"], "service": "app"}`, files: map[string]string{"compose.yml": "include: [b.yml]\n" + build, "b.yml": "include: [{path: c.yml, env_file: c.env}]", "c.yml": "services: {}", "c.env": ""}, want: "read Compose file b.yml: an include has the env_file c.env, which"},
		"a file of variables and services":        {files: map[string]string{"compose.yml": "include: [.env]\n" + build, ".env": "services: {}\n"}, want: "read .env: it is a file of variables and a Compose file"},
		"no YAML":                                 {files: map[string]string{"compose.yml": "a: [\n"}, want: "read Compose file compose.yml: "},
		"a property unknown":                      {files: map[string]string{"compose.yml": "services: {app: {imag: x}}"}, want: "validating compose.yml: "},
		"neither image nor build":                 {files: map[string]string{"compose.yml": "services: {app: {}}"}, want: `service "app" has neither an image nor a build context`},
		"no Dockerfile":                           {files: map[string]string{"compose.yml": build}, want: "service app: read Dockerfile: Dockerfile is not there"},
		"a Dockerfile above":                      {files: map[string]string{"compose.yml": "services: {app: {build: ..}}"}, want: "service app: read Dockerfile: ../Dockerfile is outside of the workspace"},
		"an inline dev container":                 {files: map[string]string{"compose.yml": "services: {app: {build: {dockerfile_inline: FROM x}}}"}, want: "the reference CLI does not build a dockerfile_inline"},
		"a remote dev container":                  {files: map[string]string{"compose.yml": "services: {app: {build: \"https://x.example/r.git\"}}"}, want: "the reference CLI does not build the remote context https://x.example/r.git"},
		"files of the machine":                    {env: map[string]string{"COMPOSE_ENV_FILES": "x"}, want: "COMPOSE_ENV_FILES is set on this machine"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceWith(t, test.json, test.files)
			if err := os.WriteFile(filepath.Join(filepath.Dir(workspace), "up.yml"), []byte(build), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := load(t, workspace, test.env)
			if err == nil {
				t.Fatal("no error")
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") || strings.Contains(text, os.TempDir()) {
				t.Errorf("%q, want one line with %q and no temporary path", text, test.want)
			}
			if strings.Contains(test.want, "outside") && !errors.Is(err, devcontainer.ErrOutside) {
				t.Errorf("%v is not ErrOutside", err)
			}
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	workspace := workspaceWith(t, "", map[string]string{"compose.yml": "services: {app: {image: base}}"})
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	if _, err := load(t, workspace, nil); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func BenchmarkLoad(b *testing.B) {
	workspace := filepath.Join(b.TempDir(), "shop")
	for name, content := range shop().Files {
		place := filepath.Join(workspace, name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(b.Context(), c, os.LookupEnv); err != nil {
			b.Fatal(err)
		}
	}
}
