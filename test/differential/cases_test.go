package differential

// testCase is a workspace whose Dockerfile is built again and again, with one
// file changed at a time.
type testCase struct {
	name string
	// dockerfile behind its FROM line.
	dockerfile string
	// files beside the common ones.
	files      map[string]string
	links      map[string]string
	executable []string
	json       string // devcontainer.json; a plain one where empty
	buildKit   bool   // only BuildKit knows the form
}

// common are the files that every workspace has.
var common = map[string]string{
	"a.txt": "a", "b.txt": "b", "c.md": "c", "a b": "space", "src/x.txt": "x", "src/y.md": "y", "src/deep/z.txt": "z", "lib/l.txt": "l",
}

// cases with those of most kinds first: a short run takes these.
var cases = []testCase{
	{name: "a folder and a pattern", dockerfile: "COPY ./src /app\nCOPY *.md /docs/\n"},
	{name: "all but what is ignored", dockerfile: "COPY . /app\n", files: map[string]string{".dockerignore": "**/*.md\nlib\n!c.md\nDockerfile\n.*\n"}},
	{name: "a stage that is not reached", dockerfile: "COPY lib /lib\nFROM BASE AS unused\nCOPY a.txt /\nFROM BASE\nCOPY b.txt /\n"},
	{name: "a target", json: `{"build": {"dockerfile": "Dockerfile", "target": "first"}}`, dockerfile: "AS first\nCOPY a.txt /\nFROM first\nCOPY b.txt /\n"},
	{name: "JSON form", dockerfile: `COPY ["a b", "b.txt", "/x/"]` + "\n"},
	{name: "an argument", json: `{"build": {"dockerfile": "Dockerfile", "args": {"WHAT": "src"}}}`, dockerfile: "ARG WHAT=lib\nARG FILE=x.txt\nCOPY $WHAT/${FILE} /app/\n"},
	{name: "a link that is a source", dockerfile: "COPY link /app/\n", links: map[string]string{"link": "src/y.md"}},
	{name: "links in a folder", dockerfile: "COPY src /app\n", links: map[string]string{"src/link": "../a.txt"}},
	{name: "from a stage", dockerfile: "AS one\nCOPY src /src\nFROM BASE\nCOPY --from=one /src/deep /deep\nCOPY --from=0 /src/x.txt /src/y.md /\n"},
	{name: "a mount", dockerfile: "RUN --mount=type=bind,source=src,target=/m cp -r /m /app\n"},
	{name: "ADD", dockerfile: "ADD a.txt src/deep /app/\n"},
	{name: "a variable", dockerfile: "ENV D=src E=deep\nCOPY $D/$E /app\n"},
	{name: "a context above", json: `{"build": {"dockerfile": "Dockerfile", "context": "src"}}`, dockerfile: "COPY . /app\n"},
	{name: "a pattern of folders", dockerfile: "COPY s*/d* /app/\n"},
	{name: "a character class", dockerfile: "COPY [ab].txt ?.md /app/\n"},
	{name: "ignored all but one", dockerfile: "COPY . /app\n", files: map[string]string{".dockerignore": "*\n!src/deep\n"}},
	{name: "ignored below a source", dockerfile: "COPY src /app\n", files: map[string]string{".dockerignore": "src/deep\n"}},
	{name: "an ignore file named after the Dockerfile", dockerfile: "COPY src /app\n", files: map[string]string{"Dockerfile.dockerignore": "src/deep\n"}},
	{name: "an executable", dockerfile: "COPY a.txt b.txt /app/\n", executable: []string{"a.txt"}},
	{name: "several lines", dockerfile: "COPY \\\n  # a comment\n  a.txt \\\n  lib \\\n  /app/\n"},
	{name: "a trigger", dockerfile: "AS one\nONBUILD COPY lib /lib\nFROM one\nCOPY a.txt /\n"},
	{name: "without", dockerfile: "COPY --exclude=*.md --exclude=deep src /app/\n", buildKit: true},
	{name: "with parents", dockerfile: "COPY --parents src/*/z.txt /app/\n", buildKit: true},
	{name: "a heredoc", dockerfile: "COPY <<EOF /x\nCOPY a.txt /\nEOF\nCOPY b.txt /\n", buildKit: true},
}
