package dockerfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnalyzeFindsWhatABuildTakes(t *testing.T) {
	base := []Image{{Reference: "base", Line: 1}}
	tests := map[string]struct {
		dockerfile string
		options    Options
		want       Recipe
	}{
		"nothing":                     {"FROM base\nRUN true\n", Options{}, Recipe{Images: base}},
		"all":                         {"FROM base\nCOPY . /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 2}}}},
		"a folder":                    {"FROM base\nCOPY ./src/ /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "src", Line: 2}}}},
		"JSON":                        {"FROM base\nCOPY [\"a b\", \"/x\"]\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a b", Line: 2}}}},
		"a pattern":                   {"FROM base\nCOPY *.json a? /app/\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "*.json", Wildcards: true, Line: 2}, {Path: "a?", Wildcards: true, Line: 2}}}},
		"above":                       {"FROM base\nCOPY ../../x /app/\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "x", Line: 2}}}},
		"excluding":                   {"FROM scratch\nARG E=md\nCOPY --exclude=*.$E --exclude=a . /app/\n", Options{}, Recipe{Sources: []Source{{Path: ".", Exclude: []string{"*.md", "a"}, Line: 3}}}},
		"excluding what is not known": {"FROM base\nARG E=md\nCOPY --exclude=*.$E --exclude=a . /app/\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Exclude: []string{"a"}, Line: 3}}}},
		"with parents":                {"FROM base\nCOPY --parents a/./b/*.c d/*/e /app/\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Include: "b/*.c", Line: 2}, {Path: ".", Include: "d/*/e", Line: 2}}}},
		"a heredoc":                   {"FROM base\nCOPY <<EOF /a\nCOPY b /c\nEOF\nRUN <<EOF\nCOPY d /e\nEOF\nCOPY x <<Y /z/\ny\nY\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "x", Line: 8}}}},
		"continued":                   {"FROM base\nCOPY \\\n # a comment\n  a \\\n  b /app/\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}, {Path: "b", Line: 2}}}},
		"an escape directive, which is a comment in what is built": {"# escape=`\nFROM base\nCOPY a\\b \\\n  `c /app/\n", Options{},
			Recipe{Images: []Image{{Reference: "base", Line: 2}}, Sources: []Source{{Path: "ab", Line: 3}, {Path: "`c", Line: 3}}}},
		"an argument's default": {"FROM scratch\nARG D=src\nCOPY $D/x ${D}y ${N:-z} /app\n", Options{},
			Recipe{Sources: []Source{{Path: "src/x", Line: 3}, {Path: "srcy", Line: 3}, {Path: "z", Line: 3}}}},
		"an argument that the image may set":      {"FROM base\nARG D=src\nCOPY $D /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 3}}}},
		"a given argument that the image may set": {"FROM base\nARG D\nCOPY $D /app\n", Options{Args: map[string]string{"D": "lib"}}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 3}}}},
		"a variable after the argument":           {"FROM base\nARG D=src\nENV D=lib\nCOPY $D /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "lib", Line: 4}}}},
		"an inherited argument":                   {"FROM scratch AS p\nARG D=src\nFROM p\nCOPY $D /app\n", Options{}, Recipe{Sources: []Source{{Path: ".", Line: 4}}}},
		"an inherited variable":                   {"FROM base AS p\nENV D=src\nFROM p\nCOPY $D /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "src", Line: 4}}}},
		"a given argument":                        {"FROM scratch\nARG D=src\nCOPY $D /app\n", Options{Args: map[string]string{"D": "lib"}}, Recipe{Sources: []Source{{Path: "lib", Line: 3}}}},
		"an argument that was not declared":       {"FROM base\nCOPY $D /app\n", Options{Args: map[string]string{"D": "lib"}}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 2}}}},
		"the same where nothing is foreign":       {"FROM scratch\nCOPY a$D /app\n", Options{Args: map[string]string{"D": "lib"}}, Recipe{Sources: []Source{{Path: "a", Line: 2}}}},
		"a global argument": {"ARG B=base\nARG D=src\nFROM scratch\nARG D\nCOPY $D /app\nFROM ${B}\nCOPY --from=0 /app /\n", Options{},
			Recipe{Images: []Image{{Reference: "base", Line: 6}}, Sources: []Source{{Path: "src", Line: 5}}}},
		"a variable":              {"FROM base\nENV D=src E=$D\nCOPY $D /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "src", Line: 3}}}},
		"a variable of the image": {"FROM base\nENV E=$D\nCOPY $E /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 3}}}},
		"a variable both ways":    {"FROM base\nENV D=a\nARG D=b\nCOPY $D /app\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Line: 4}}}},
		"a platform": {"FROM --platform=$BUILDPLATFORM base\nARG TARGETARCH\nCOPY $TARGETARCH /app\n", Options{Platform: "linux/arm64", BuildPlatform: "linux/amd64"},
			Recipe{Images: []Image{{Reference: "base", Platform: "linux/amd64", Line: 1}}, Sources: []Source{{Path: "arm64", Line: 3}, {Path: ".", Optional: true, Line: 3}}, BuildPlatform: true, BuildPlatformLine: 1}},
		"a stage":                     {"FROM base AS one\nCOPY a /\nFROM scratch\nCOPY --from=ONE /a /\nCOPY --from=0 /b /\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"another image":               {"FROM base\nCOPY --from=tools:2 /a /\n", Options{}, Recipe{Images: []Image{{Reference: "base", Line: 1}, {Reference: "tools:2", Line: 2}}}},
		"a stage that is not reached": {"FROM base AS one\nCOPY a /\nFROM base AS two\nCOPY b /\nFROM one\nCOPY c /\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}, {Path: "c", Line: 6}}}},
		"a target":                    {"FROM base AS one\nCOPY a /\nFROM one AS two\nCOPY b /\n", Options{Target: "One"}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"a trigger":                   {"FROM base AS one\nONBUILD COPY a /\nFROM one\nCOPY b /\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}, {Path: "b", Line: 4}}}},
		"a trigger of the last stage": {"FROM base\nONBUILD COPY a /\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"a trigger of the target":     {"FROM base AS t\nONBUILD COPY a /\nFROM base\nCOPY b /\n", Options{Target: "t"}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"a trigger that the command line's target leaves out": {"FROM base AS t\nONBUILD COPY a /\nFROM base\nCOPY b /\n", Options{TargetOption: "t"}, Recipe{Images: base}},
		"the platform of the machine":                         {"FROM scratch\nARG BUILDARCH\nCOPY x-$BUILDARCH /\n", Options{BuildPlatform: "linux/arm64"}, Recipe{Sources: []Source{{Path: "x-arm64", Line: 3}, {Path: "x-", Optional: true, Line: 3}}, BuildPlatform: true, BuildPlatformLine: 2}},
		"a platform argument's default":                       {"FROM scratch\nARG TARGETARCH=zz\nCOPY x-$TARGETARCH /\n", Options{}, Recipe{Sources: []Source{{Path: ".", Line: 3}}}},
		"directly, the stage's name by default":               {"FROM scratch\nARG TARGETSTAGE\nCOPY x-$TARGETSTAGE /\n", Options{Direct: true}, Recipe{Sources: []Source{{Path: "x-default", Line: 3}, {Path: "x-", Optional: true, Line: 3}}}},
		"directly, the target's name":                         {"FROM scratch AS one\nARG TARGETSTAGE\nCOPY x-$TARGETSTAGE /\nFROM base\n", Options{Direct: true, Target: "one"}, Recipe{Sources: []Source{{Path: "x-one", Line: 3}, {Path: "x-", Optional: true, Line: 3}}}},
		"without a target, the stage's name":                  {"FROM scratch\nARG TARGETSTAGE\nCOPY x-$TARGETSTAGE /\n", Options{Untargeted: true}, Recipe{Sources: []Source{{Path: "x-default", Line: 3}, {Path: "x-", Optional: true, Line: 3}}}},
		"directly, directives":                                {"# syntax=docker/dockerfile:1\n# escape=`\nFROM base\nCOPY `\n a /\n", Options{Direct: true}, Recipe{Images: []Image{{Reference: "base", Line: 3}}, Sources: []Source{{Path: "a", Line: 4}}}},
		"directly, no triggers of the target run":             {"FROM base\nONBUILD COPY a /\nCOPY b /\n", Options{Direct: true}, Recipe{Images: []Image{{Reference: "base", Line: 1}}, Sources: []Source{{Path: "b", Line: 3}}}},
		"directly, a comment first":                           {"# a comment\nFROM base\n# escape=`\nCOPY a /\n", Options{Direct: true}, Recipe{Images: []Image{{Reference: "base", Line: 2}}, Sources: []Source{{Path: "a", Line: 4}}}},
		"the built stage's name":                              {"FROM scratch\nARG TARGETSTAGE\nCOPY x-$TARGETSTAGE /\n", Options{}, Recipe{Sources: []Source{{Path: "x-dev_containers_target_stage", Line: 3}, {Path: "x-", Optional: true, Line: 3}}}},
		"a variable of a platform argument":                   {"FROM scratch\nARG TARGETARCH\nENV D=x-$TARGETARCH\nCOPY $D /\n", Options{}, Recipe{Sources: []Source{{Path: ".", Line: 4}}}},
		"an argument of a platform argument":                  {"ARG D=x-$TARGETARCH\nFROM scratch\nARG D\nCOPY $D /\n", Options{}, Recipe{Sources: []Source{{Path: ".", Line: 4}}}},
		"a platform argument's global default":                {"ARG TARGETARCH=zz\nFROM scratch\nARG TARGETARCH\nCOPY x-$TARGETARCH /\n", Options{}, Recipe{Sources: []Source{{Path: ".", Line: 4}}}},
		"two contexts of one image": {"FROM scratch\nCOPY --from=alpine a /\n", Options{Contexts: map[string]string{"alpine": "one", "docker.io/library/alpine": "two"}},
			Recipe{Images: []Image{{Reference: "alpine", Line: 2}}, Sources: []Source{{Context: "one", Path: "a", Line: 2}, {Context: "two", Path: "a", Line: 2}}}},
		"a parent behind a pattern":     {"FROM scratch\nCOPY */../a /\n", Options{}, Recipe{Sources: []Source{{Path: "a", Line: 2}}}},
		"a stage's name in a heredoc":   {"FROM base AS build\nCOPY a /\nFROM base\nCOPY <<EOF /Dockerfile\nFROM x AS build\nEOF\nCOPY b /\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"a context in place of a stage": {"FROM base AS lib\nCOPY a /\nFROM lib\n", Options{Contexts: map[string]string{"lib": "libs"}}, Recipe{Images: base, Sources: []Source{{Context: "libs", Path: ".", Line: 1}, {Path: "a", Line: 2}, {Context: "libs", Path: ".", Line: 3}}}},
		"a context by another spelling": {"FROM alpine\nCOPY --from=docker.io/library/alpine:latest a /\n", Options{Contexts: map[string]string{"index.docker.io/library/alpine": "libs"}},
			Recipe{Images: []Image{{Reference: "alpine", Line: 1}, {Reference: "docker.io/library/alpine:latest", Line: 2}}, Sources: []Source{{Context: "libs", Path: ".", Line: 1}, {Context: "libs", Path: "a", Line: 2}}}},
		"a URL with an unknown part and a checksum": {"FROM base\nARG V=1\nADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://host.example/$V /x\n", Options{}, Recipe{Images: base, Remotes: []Remote{{URL: "https://host.example/1", Pinned: true, Line: 3}}}},
		"an image that the command line replaces":   {"ARG B=base\nFROM $B\n", Options{Args: map[string]string{"B": "other"}}, Recipe{Images: []Image{{Reference: "other", Line: 2}, {Reference: "base", Line: 2}}}},
		"a mount":                    {"FROM base\nARG S=src\nRUN --mount=type=bind,source=$S,target=/x --mount=target=/y --mount=type=cache,target=/c --mount=type=tmpfs,target=/t true\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: ".", Mount: true, Line: 3}, {Path: ".", Mount: true, Line: 3}}}},
		"a mount from a stage":       {"FROM base AS one\nCOPY a /\nFROM scratch AS unused\nCOPY b /\nFROM scratch\nRUN --mount=from=one,target=/x true\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a", Line: 2}}}},
		"ADD of a file":              {"FROM base\nADD --chown=1:1 a.tar.gz /x\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "a.tar.gz", Line: 2}}}},
		"ADD of a URL":               {"FROM base\nADD https://host.example/a b /x/\nADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://host.example/c /x\n", Options{}, Recipe{Images: base, Sources: []Source{{Path: "b", Line: 2}}, Remotes: []Remote{{URL: "https://host.example/a", Line: 2}, {URL: "https://host.example/c", Pinned: true, Line: 3}}}},
		"a URL with a commit's look": {"FROM base\nADD https://host.example/a#0123456789012345678901234567890123456789 /x\n", Options{}, Recipe{Images: base, Remotes: []Remote{{URL: "https://host.example/a#0123456789012345678901234567890123456789", Line: 2}}}},
		"ADD of Git":                 {"FROM base\nADD https://host.example/r.git#main /x\nADD git@host.example:r.git#0123456789012345678901234567890123456789 /y\n", Options{}, Recipe{Images: base, Remotes: []Remote{{URL: "https://host.example/r.git#main", Line: 2}, {URL: "git@host.example:r.git#0123456789012345678901234567890123456789", Pinned: true, Line: 3}}}},
		"named contexts":             {"FROM base\nCOPY --from=lib a /\nCOPY --from=img b /\nCOPY --from=far c /\n", Options{Contexts: map[string]string{"lib": "./libs", "img": "docker-image://tools:1", "far": "https://host.example/x.git", "base": "docker-image://other"}}, Recipe{Images: []Image{{Reference: "other", Line: 1}, {Reference: "tools:1", Line: 3}, {Reference: "base", Line: 1}}, Sources: []Source{{Context: "./libs", Path: "a", Line: 2}}, Remotes: []Remote{{URL: "https://host.example/x.git", Line: 4}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.options.Platform == "" {
				test.options.Platform = "linux/amd64"
			}
			got, err := Analyze([]byte(test.dockerfile), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("Analyze (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABaseThatIsNotKnownReachesEveryStage(t *testing.T) {
	contents := "FROM scratch AS base-amd64\nCOPY a /\nFROM scratch AS base-arm64\nCOPY b /\nFROM base-$TARGETARCH\n"
	recipe, err := Analyze([]byte(contents), Options{}) // no one platform
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Source{{Path: "a", Line: 2}, {Path: "b", Line: 4}}, recipe.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestAnalyzeRefusesWhatBuildKitRefuses(t *testing.T) {
	for name, contents := range map[string]string{
		"empty":            "",
		"no FROM":          "RUN true\n",
		"unknown":          "FROM base\nCOPYY a b\n",
		"another frontend": "# syntax=host.example/frontend\nFROM base\n",
		"another frontend behind another directive": "# escape=`\n# syntax=host.example/frontend\nFROM base\n",
		"blank base":     "ARG B\nFROM $B\n",
		"no heredoc end": "FROM base\nCOPY <<EOF /x\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Analyze([]byte(contents), Options{Platform: "linux/amd64"}); !errors.Is(err, ErrSyntax) {
				t.Errorf("Analyze: %v, want that it is not understood", err)
			}
		})
	}
	if _, err := Analyze([]byte("FROM base\n"), Options{Target: "none", Platform: "linux/amd64"}); !errors.Is(err, ErrSyntax) {
		t.Errorf("Analyze: %v, want that the target is no stage", err)
	}
	given := Options{Args: map[string]string{"BUILDKIT_SYNTAX": "host.example/frontend"}, Platform: "linux/amd64"}
	if _, err := Analyze([]byte("FROM base\n"), given); !errors.Is(err, ErrSyntax) {
		t.Errorf("Analyze: %v, want that it is for another frontend", err)
	}
	_, err := Analyze([]byte("FROM base\n\nCOPYY a b\n"), Options{Platform: "linux/amd64"})
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("Analyze: %v, want the line as it is written", err)
	}
}
