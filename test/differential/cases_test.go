package differential

import (
	"io/fs"

	"imagecache.dev/test/engine"
)

// buildKit is the engine that builds with BuildKit.
const buildKit = engine.Docker28Containerd

// testCase is a workspace whose Dockerfile is built.
type testCase struct {
	name string
	// head stands before the first FROM line.
	head string
	// dockerfile behind its first FROM line. BASE and ENVBASE are the base images.
	dockerfile string
	// from is the first FROM's image, BASE where empty.
	from string
	// files beside the common ones.
	files   map[string]string
	links   map[string]string
	sockets []string
	modes   map[string]fs.FileMode
	json    string // devcontainer.json; a plain one where empty
	// chmod are changes of modes, one at a time.
	chmod map[string]fs.FileMode
	// wide says that the key holds more than one builder reads: what another one reads, or may read.
	wide bool
	only engine.Kind // builds with this engine alone, as no other knows the form
}

// common are the files that every workspace has.
var common = map[string]string{
	"a.txt": "", "b.txt": "", "c.md": "", "a b": "", "src/x.txt": "", "src/y.md": "", "src/deep/z.txt": "", "lib/l.txt": "",
}

// Configurations of the cases.
const (
	plainJSON   = `{"build": {"dockerfile": "Dockerfile"}}`
	namedJSON   = `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context", "named=lib"]}}`
	absJSON     = `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context=named=${localWorkspaceFolder}/lib"]}}`
	spelledJSON = `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context=docker.io/library/named:latest=lib"]}}`
	stageJSON   = `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context=one=lib"]}}`
	argJSON     = `{"build": {"dockerfile": "Dockerfile", "args": {"WHAT": "src"}}}`
	targetJSON  = `{"build": {"dockerfile": "Dockerfile", "target": "first"}}`
)

// cases of the forms that builders read, and of those that they read in several ways.
var cases = []testCase{
	// Sources.
	{name: "a folder and a pattern", dockerfile: "COPY ./src /app\nCOPY *.md /docs/\n"},
	{name: "JSON form", dockerfile: `COPY ["a b", "b.txt", "/x/"]` + "\n"},
	{name: "ADD", dockerfile: "ADD a.txt src/deep /app/\n"},
	{name: "a context above", dockerfile: "COPY . /app\n",
		json: `{"build": {"dockerfile": "Dockerfile", "context": "src"}}`},
	{name: "above the context", dockerfile: "COPY ../../src/x.txt /src/../a.txt /app/\n"},
	{name: "a pattern of folders", dockerfile: "COPY s*/d* /app/\n"},
	{name: "a character class", dockerfile: "COPY [ab].txt ?.md /app/\n"},
	{name: "any depth", dockerfile: "COPY **/*.txt /app/\n", wide: true},
	{name: "a pattern through a linked folder", dockerfile: "COPY */z.txt /app/\n",
		links: map[string]string{"link": "src/deep"},
		files: map[string]string{"lib/z.txt": ""}, wide: true},
	{name: "a name that is a pattern", dockerfile: "COPY s*/x[[]* /app/\n",
		files: map[string]string{"src/x[1]": "", "src/x1": ""}, wide: true},
	{name: "several lines", dockerfile: "COPY \\\n  # a comment\n  a.txt \\\n  lib \\\n  /app/\n"},
	{name: "a heredoc", dockerfile: "COPY <<EOF /x\nCOPY a.txt /\nEOF\nCOPY b.txt /\n", only: buildKit},
	{name: "an escape directive", head: "# escape=`\n", dockerfile: "COPY a.txt \\\n  b.txt /app/\n"},
	{name: "without", dockerfile: "COPY --exclude=*.md --exclude=deep src /app/\n", only: buildKit, wide: true},
	{name: "without, any depth", dockerfile: "COPY --exclude=**/*.md --exclude=**/deep src /app/\n", only: buildKit},

	// Links, modes and sockets.
	{name: "a link that is a source", dockerfile: "COPY link /app/\n", links: map[string]string{"link": "src/y.md"}},
	{name: "a link above a source", dockerfile: "COPY link/deep /app/\n", links: map[string]string{"link": "/src"}},
	{name: "links in a folder", dockerfile: "COPY src /app\n", links: map[string]string{"src/link": "../a.txt"}},
	{name: "a link to what is ignored", dockerfile: "COPY link/z.txt /app/\nCOPY b.txt /\n",
		links: map[string]string{"link": "src/deep"},
		files: map[string]string{".dockerignore": "src/deep\n"}, only: engine.Podman},
	{name: "an executable", dockerfile: "COPY a.txt b.txt /app/\n", modes: map[string]fs.FileMode{"a.txt": 0o755}},
	{name: "modes of files", dockerfile: "COPY a.txt /a\nCOPY src /new\nCOPY s* /app/\n",
		chmod: map[string]fs.FileMode{
			"a.txt": 0o600, "src/x.txt": 0o640, "src/y.md": 0o755, "b.txt": 0o600,
		}},
	{name: "modes of folders", dockerfile: "COPY src /new\nCOPY src/deep /deep/er\nCOPY lib /lib/\n",
		chmod: map[string]fs.FileMode{"src": 0o700, "src/deep": 0o700, "lib": 0o750}},
	{name: "the mode of a mounted folder", dockerfile: "RUN --mount=type=bind,source=src,target=/m cp -a /m /app\n",
		chmod: map[string]fs.FileMode{"src": 0o700, "src/deep": 0o700, "lib": 0o700}},
	{name: "the mode of the mounted context", dockerfile: "RUN --mount=type=bind,target=/m cp -a /m /app\n",
		chmod: map[string]fs.FileMode{".": 0o700, "src": 0o700}, wide: true},
	{name: "a socket", dockerfile: "COPY . /app/\n", sockets: []string{"src/socket"}},

	// Ignore files.
	{name: "all but what is ignored", dockerfile: "COPY . /app\n",
		files: map[string]string{".dockerignore": "**/*.md\nlib\nDockerfile\n.*\n"}},
	{name: "ignored all but one", dockerfile: "COPY . /app\n",
		files: map[string]string{".dockerignore": "*\n!src/deep/z.txt\n"}},
	{name: "ignored below a source", dockerfile: "COPY src /app\n",
		files: map[string]string{".dockerignore": "src/deep\n"}},
	{name: "an exception of a folder", dockerfile: "COPY . /app\n",
		files: map[string]string{".dockerignore": "**/*.md\n**/*.txt\n!src\n"}, wide: true},
	{name: "an ignored name behind a space", dockerfile: "COPY . /app\n",
		files: map[string]string{".dockerignore": "c.md\n /lib\n"}, wide: true},
	{name: "an ignore file of podman", dockerfile: "COPY . /app\n",
		files: map[string]string{".containerignore": "lib\n"}, wide: true},
	{name: "two ignore files", dockerfile: "COPY . /app\n",
		files: map[string]string{".containerignore": "lib\nc.md\n", ".dockerignore": "src\nc.md\n"}, wide: true},
	{name: "an ignore file named after the Dockerfile", dockerfile: "COPY src /app\n",
		files: map[string]string{"Dockerfile.dockerignore": "src/deep\n"}},

	// Variables.
	{name: "a variable", dockerfile: "ENV D=src E=deep\nCOPY $D/$E /app\n"},
	{name: "an argument", dockerfile: "ARG WHAT=lib\nARG FILE=x.txt\nCOPY $WHAT/${FILE} /app/\n", json: argJSON,
		wide: true},
	{name: "an argument that the base image sets", from: "ENVBASE", dockerfile: "ARG WHAT=lib\nCOPY $WHAT /app/\n",
		wide: true},
	{name: "an argument that is given and that the base image sets", from: "ENVBASE", json: argJSON,
		dockerfile: "ARG FOLDER=src\nARG WHAT=lib\nCOPY $WHAT/deep /app/\nCOPY $FOLDER /lib/\n", wide: true},
	{name: "a variable of the base image", from: "ENVBASE", dockerfile: "COPY $WHAT/deep /app/\n", wide: true},
	{name: "an inherited argument", dockerfile: "AS one\nARG D=src\nFROM one\nCOPY $D/ /app/\n", wide: true},
	{name: "a global argument", head: "ARG WHAT=lib\n", dockerfile: "ARG WHAT\nCOPY $WHAT /app/\n", json: argJSON,
		wide: true},
	{name: "a global argument of FROM", head: "ARG WHICH=two\n",
		dockerfile: "AS one\nCOPY a.txt /\nFROM BASE AS two\nCOPY b.txt /\nFROM $WHICH\nCOPY lib /lib\n", only: buildKit},
	{name: "the platform", dockerfile: "ARG TARGETARCH\nCOPY tools/$TARGETARCH /app/\n",
		files: map[string]string{"tools/amd64/t": "", "tools/arm64/t": "", "tools/t": ""}, wide: true},

	// Stages and mounts.
	{name: "a stage that is not reached",
		dockerfile: "COPY lib /lib\nFROM BASE AS unused\nCOPY a.txt /\nFROM BASE\nCOPY b.txt /\n"},
	{name: "a target", json: targetJSON, dockerfile: "AS first\nCOPY a.txt /\nFROM first\nCOPY b.txt /\n"},
	{name: "from a stage",
		dockerfile: "AS one\nCOPY src /src\nFROM BASE\nCOPY --from=one /src/deep /deep\nCOPY --from=0 /src/x.txt /src/y.md /\n"},
	{name: "a trigger", dockerfile: "AS one\nONBUILD COPY lib /lib\nFROM one\nCOPY a.txt /\n", wide: true},
	{name: "a trigger of the last stage", dockerfile: "COPY a.txt /\nONBUILD COPY lib /lib\n", wide: true},
	{name: "a mount", dockerfile: "RUN --mount=type=bind,source=src,target=/m cp -r /m /app\n"},
	{name: "a mount of what is ignored", dockerfile: "RUN --mount=type=bind,source=src,target=/m cp -r /m /app\n",
		files: map[string]string{".dockerignore": "**/*.md\n"}, wide: true},

	// Named contexts.
	{name: "a named context", json: namedJSON, dockerfile: "COPY --from=named . /app/\n"},
	{name: "a named context by its whole path", json: absJSON, dockerfile: "COPY --from=named l.txt /app/\n"},
	{name: "a named context with an ignore file", json: namedJSON, dockerfile: "COPY --from=named . /app/\n",
		files: map[string]string{"lib/.dockerignore": "hid\n.dockerignore\n", "lib/hid": ""}, wide: true},
	{name: "a mounted named context", json: namedJSON,
		dockerfile: "RUN --mount=type=bind,from=named,target=/m cp -r /m /app\n"},
	{name: "another spelling of a named context", json: spelledJSON, dockerfile: "COPY --from=named . /app/\n",
		only: buildKit},
	{name: "a named context in place of a stage", json: stageJSON, only: buildKit, wide: true,
		dockerfile: "AS one\nCOPY a.txt /\nFROM BASE\nCOPY --from=one . /app/\nCOPY b.txt /\n"},
}
