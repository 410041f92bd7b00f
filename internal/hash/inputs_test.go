package hash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/devcontainer"
)

// named returns the inputs of a name, without digests.
func named(key *Key, name string) []string {
	paths := []string{}
	for _, input := range key.Inputs {
		if input.Name == name {
			paths = append(paths, input.Path)
		}
	}
	return paths
}

func codes(key *Key) []string {
	all := []string{}
	for _, warning := range key.Warnings {
		all = append(all, fmt.Sprintf("%s:%s:%d", warning.Code, warning.Setting, warning.Line))
	}
	return all
}

func TestWarningsNameTheSettingThatCovers(t *testing.T) {
	const pinned = "registry.example/p@sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d"
	tests := map[string]struct {
		json, dockerfile string
		want             []string
	}{
		"all covered":                   {json: `{"image": "` + pinned + `"}`, want: []string{}},
		"an image":                      {json: `{"image": "registry.example/base:1"}`, want: []string{"BaseImageNotPinned:BaseImages:0"}},
		"a stage's image":               {json: inContext, dockerfile: "FROM registry.example/base AS x\nFROM x\nCOPY --from=" + pinned + " /a /\nCOPY --from=registry.example/tools /a /\n", want: []string{"BaseImageNotPinned:BaseImages:1", "BaseImageNotPinned:BaseImages:4"}},
		"nothing at all":                {json: inContext, dockerfile: "FROM scratch\n", want: []string{}},
		"files":                         {json: inContext, dockerfile: "FROM scratch\n\nCOPY a b /\nCOPY c /\n", want: []string{"BuildContextNotCovered:BuildContext:3"}},
		"a URL":                         {json: inContext, dockerfile: "FROM scratch\nADD https://host.example/x /x\n", want: []string{"RemoteSourceNotCovered::2"}},
		"Features":                      {json: `{"image": "` + pinned + `", "features": {"./a": {}, "registry.example/f:1": {}, "registry.example/f@sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d": {}}}`, want: []string{"FeatureNotCovered:Features:0", "FeatureNotCovered:Features:0"}},
		"a variable":                    {json: `{"build": {"dockerfile": "Dockerfile", "args": {"a": "${localEnv:TOKEN}${localEnv:TOKEN}"}}}`, dockerfile: "FROM scratch\n", want: []string{"LocalEnvNotCovered:LocalEnv:0"}},
		"a variable elsewhere":          {json: `{"image": "` + pinned + `", "containerEnv": {"a": "${localEnv:TOKEN}"}}`, want: []string{}},
		"an option's variable":          {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--build-arg", "TOKEN", "--build-arg=B=1"]}}`, dockerfile: "FROM scratch\n", want: []string{"LocalEnvNotCovered:LocalEnv:0"}},
		"a context's folder":            {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context", "a=${localWorkspaceFolder}/a", "--build-context=b=${localWorkspaceFolder}"]}}`, dockerfile: "FROM scratch\n", want: []string{}},
		"a context's image":             {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--build-context=b=docker-image://${localWorkspaceFolderBasename}"]}}`, dockerfile: "FROM scratch\n", want: []string{"LocalEnvNotCovered:LocalEnv:0"}},
		"names that end as paths do":    {json: `{"build": {"dockerfile": "Dockerfile", "args": {"context": "${localWorkspaceFolder}"}}}`, dockerfile: "FROM scratch\n", want: []string{"LocalEnvNotCovered:LocalEnv:0"}},
		"letters before a short option": {json: `{"build": {"dockerfile": "Dockerfile", "options": ["-qfOther"]}}`, dockerfile: "FROM scratch\n", want: []string{"OptionNotCovered::0"}},
		"a short option":                {json: `{"build": {"dockerfile": "Dockerfile", "options": ["-fOther"]}}`, dockerfile: "FROM scratch\n", want: []string{"OptionNotCovered::0"}},
		"options of their own text":     {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--network=host", "--label", "a=b", "--add-host", "a:1.2.3.4"]}}`, dockerfile: "FROM scratch\n", want: []string{}},
		"a file of arguments":           {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--build-arg-file=x"]}}`, dockerfile: "FROM scratch\n", want: []string{"OptionNotCovered::0"}},
		"the machine's platform":        {json: inContext, dockerfile: "FROM scratch\nARG BUILDARCH\n", want: []string{"LocalEnvNotCovered:LocalEnv:0"}},
		"users, with Features":          {json: `{"image": "` + pinned + `", "remoteUser": "${localEnv:A}", "containerUser": "${localEnv:B}", "overrideFeatureInstallOrder": ["${localEnv:C}"], "features": {"registry.example/f@sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d": {}}}`, want: []string{"LocalEnvNotCovered:LocalEnv:0", "LocalEnvNotCovered:LocalEnv:0", "LocalEnvNotCovered:LocalEnv:0"}},
		"users, without":                {json: `{"image": "` + pinned + `", "remoteUser": "${localEnv:A}", "containerUser": "${localEnv:B}"}`, want: []string{}},
		"another frontend":              {json: `{"build": {"dockerfile": "Dockerfile", "args": {"BUILDKIT_SYNTAX": "registry.example/x"}}}`, dockerfile: "FROM scratch\n", want: []string{"DockerfileNotUnderstood::0"}},
		"an option":                     {json: `{"build": {"dockerfile": "Dockerfile", "options": ["--secret", "id=x,src=y"]}}`, dockerfile: "FROM scratch\n", want: []string{"OptionNotCovered::0"}},
		"an unread Dockerfile":          {json: inContext, dockerfile: "FROM scratch\nCOPPY a b\n", want: []string{"DockerfileNotUnderstood::0"}},
		"Compose":                       {json: `{"dockerComposeFile": "x.yml"}`, want: []string{"ComposeNotSupported::0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := FromContents([]byte(test.json), []byte(test.dockerfile), "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, codes(key)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if want := len(test.want) == 0; key.Complete != want {
				t.Errorf("complete: %v, want %v", key.Complete, want)
			}
		})
	}
}

func TestAskingForAllInputsMakesAKeyComplete(t *testing.T) {
	t.Setenv("TOKEN", "secret")
	workspace := workspaceOf(t, map[string]string{
		".devcontainer/devcontainer.json":      `{"build": {"dockerfile": "Dockerfile", "args": {"T": "${localEnv:TOKEN}", "U": "${localEnv:IMAGECACHE_UNSET:x}"}, "options": ["--build-context", "lib=libs"]}, "features": {"./local": {}, "registry.example/f:1": {}}}`,
		".devcontainer/devcontainer-lock.json": `{"features": {"registry.example/f:1": {"version": "1.2.3", "integrity": "sha256:00"}}}`,
		".devcontainer/Dockerfile":             "FROM registry.example/base\nCOPY f /f\nCOPY --from=lib l /l\n",
		".devcontainer/f":                      "",
		".devcontainer/local/install.sh":       "",
		".devcontainer/local/sub/more":         "",
		"libs/l":                               "",
		"libs/m":                               "",
	})
	asked := ""
	resolve := func(_ context.Context, reference, platform string) (string, error) {
		asked += reference + " " + platform
		return "sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d", nil
	}
	key := compute(t, workspace, Options{Inputs: Settings, Resolve: resolve})
	if !key.Complete || len(key.Warnings) != 0 {
		t.Errorf("complete: %v, warnings %v", key.Complete, key.Warnings)
	}
	if asked != "registry.example/base linux/amd64" {
		t.Errorf("asked for %q", asked)
	}
	for name, want := range map[string][]string{
		InputBuildContext: {".devcontainer/f", "libs/l"},
		InputBaseImages:   {"registry.example/base"},
		InputFeatures:     {".devcontainer/devcontainer-lock.json", ".devcontainer/local/install.sh", ".devcontainer/local/sub", ".devcontainer/local/sub/more"},
		InputLocalEnv:     {"IMAGECACHE_UNSET", "TOKEN"},
	} {
		if diff := cmp.Diff(want, named(key, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	again, err := Sum(key.Platform, key.Inputs)
	if err != nil || again != key.Hash {
		t.Errorf("Sum: %s, %v, want %s", again, err, key.Hash)
	}
	t.Setenv("TOKEN", "another")
	if other := compute(t, workspace, Options{Inputs: Settings, Resolve: resolve}); other.Hash == key.Hash {
		t.Error("another variable, the same hash")
	}
	t.Setenv("TOKEN", "secret")
	t.Setenv("IMAGECACHE_UNSET", "")
	if other := compute(t, workspace, Options{Inputs: Settings, Resolve: resolve}); other.Hash == key.Hash {
		t.Error("a variable that is set and empty has the hash of one that is not")
	}
}

func TestBaseImagesAsksTheRegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/base:1"
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "` + reference + `"}`})
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compute(t.Context(), c, Options{Inputs: []string{InputBaseImages}}); err == nil || !strings.Contains(err.Error(), "resolve "+reference) {
		t.Errorf("Compute: %v, want that the image is not there", err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, empty.Image); err != nil {
		t.Fatal(err)
	}
	key, err := Compute(t.Context(), c, Options{Inputs: []string{InputBaseImages}})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := empty.Image.Digest()
	if len(key.Inputs) != 2 || key.Inputs[1].Digest != want.String() || !key.Complete {
		t.Errorf("inputs %v, want the digest %s", key.Inputs, want)
	}
}

func TestFeaturesWithoutALockfileFloat(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "a@sha256:0", "features": {"registry.example/f:1": {}}}`})
	key := compute(t, workspace, Options{Inputs: []string{InputFeatures}})
	if diff := cmp.Diff([]string{"FeatureNotCovered::0"}, codes(key)); diff != "" || key.Complete {
		t.Errorf("complete: %v, warnings (-want +got):\n%s", key.Complete, diff)
	}
}

func TestALocalFeatureOutsideIsAnError(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "a", "features": {"../x": {}}}`})
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compute(t.Context(), c, Options{Inputs: []string{InputFeatures}}); !errors.Is(err, devcontainer.ErrOutside) {
		t.Errorf("Compute: %v, want that it lies outside", err)
	}
	if _, err := Compute(t.Context(), c, Options{Inputs: []string{"Everything"}}); err == nil || !strings.Contains(err.Error(), `"Everything"`) {
		t.Errorf("Compute: %v, want that there is no such input", err)
	}
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	a := []Input{contentInput(InputConfiguration, "x/devcontainer.json", []byte("1")), contentInput(InputBuildContext, "a", nil), contentInput(InputBuildContext, "b", nil), contentInput(InputBuildContext, "c", nil)}
	b := []Input{contentInput(InputBuildContext, "c", []byte("12")), contentInput(InputBuildContext, "a", nil), contentInput(InputBuildContext, "d", nil), contentInput(InputConfiguration, "y/devcontainer.json", []byte("1"))}
	b[1].Mode = ModeExecutable
	var got []string
	for _, difference := range Diff(a, b) {
		got = append(got, difference.String())
	}
	want := []string{"changed BuildContext a (mode only)", "removed BuildContext b", "changed BuildContext c (0 → 2 bytes)", "added BuildContext d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
	if same := Diff(a, a); len(same) != 0 {
		t.Errorf("Diff with itself: %v", same)
	}
}

func TestSumRefusesWhatIsNoInput(t *testing.T) {
	input := contentInput(InputBuildContext, "a", nil)
	if _, err := Sum("", []Input{input, input}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("Sum: %v, want that one is there twice", err)
	}
	input.Digest = "sha256:00"
	if _, err := Sum("", []Input{input}); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("Sum: %v, want that the digest is none", err)
	}
}

func TestThePlatformOfTheMachineIsAnInputWhereTheBuildUsesIt(t *testing.T) {
	files := map[string]string{
		".devcontainer.json": inContext, "Dockerfile": "FROM a@sha256:0\nARG BUILDARCH\nCOPY cross-$BUILDARCH /\n",
		"cross-amd64": "1", "cross-arm64": "2",
	}
	keyOn := func(machine string, files map[string]string) *Key {
		t.Helper()
		o := Options{Platform: "linux/arm64", BuildPlatform: machine, Inputs: []string{InputBuildContext, InputLocalEnv}}
		return compute(t, workspaceOf(t, files), o)
	}
	amd64, arm64 := keyOn("linux/amd64", files), keyOn("linux/arm64", files)
	if amd64.Hash == arm64.Hash || !amd64.Complete || !arm64.Complete {
		t.Errorf("two kinds of machines: hashes %s and %s, complete %v and %v",
			amd64.Hash, arm64.Hash, amd64.Complete, arm64.Complete)
	}
	if diff := cmp.Diff([]string{"${BUILDPLATFORM}"}, named(amd64, InputLocalEnv)); diff != "" {
		t.Errorf("LocalEnv (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cross-amd64"}, named(amd64, InputBuildContext)); diff != "" {
		t.Errorf("BuildContext (-want +got):\n%s", diff)
	}
	files["Dockerfile"] = "FROM a@sha256:0\nARG BUILDARCH\nCOPY cross-amd64 /\n"
	if keyOn("linux/amd64", files).Hash == keyOn("linux/arm64", files).Hash {
		t.Error("a step may read the machine's platform, and the key does not tell")
	}
	files["Dockerfile"] = "FROM a@sha256:0\nCOPY cross-amd64 /\n"
	if keyOn("linux/amd64", files).Hash != keyOn("linux/arm64", files).Hash {
		t.Error("the machine's platform counts where nothing uses it")
	}
}

func TestAVariableThatTheBuilderSetsIsAWarning(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{
		".devcontainer.json": `{"build": {"dockerfile": "Dockerfile", "args": {"A": "${localEnv:TMPDIR}"}}}`, "Dockerfile": "FROM scratch\n",
	})
	key := compute(t, workspace, Options{Inputs: []string{InputLocalEnv}})
	if diff := cmp.Diff([]string{"LocalEnvNotCovered::0"}, codes(key)); diff != "" || key.Complete {
		t.Errorf("complete: %v, warnings (-want +got):\n%s", key.Complete, diff)
	}
}
