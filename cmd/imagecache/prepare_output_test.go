package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/test/terminal"
	"imagecache.dev/test/testimage"
)

// prepareWorld is a cluster that knows one image, in a registry, and a workspace.
type prepareWorld struct {
	words  map[string]string
	server *apiServer
	status v1alpha1.DevcontainerImageStatus
}

// newPrepareWorld makes a world in which every request gets status, whose image is filled in where it is a hit.
func newPrepareWorld(t *testing.T, status v1alpha1.DevcontainerImageStatus) *prepareWorld {
	t.Helper()
	w := &prepareWorld{words: outputWorld(t), status: status}
	t.Setenv(builder.StoreVariable, filepath.Join(t.TempDir(), "store"))
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	image := testimage.Random(t, 100_000, 3)
	repository, err := name.NewRepository(host + "/projects/web/image-build")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Tag("base"), image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if cached := w.status.Image; cached != nil {
		cached.Reference, cached.Digest = repository.Digest(digest.String()).Name(), digest.String()
		w.status.PullCredentials = &v1alpha1.CredentialReference{SecretName: "pull"}
	}
	w.words["WORKSPACE"] = folder(t, map[string]string{".devcontainer.json": `{"image": "` + repository.Tag("base").Name() + `"}`})
	w.words["IMAGES"] = filepath.Join(t.TempDir(), "images")
	w.words["DIGEST"], w.words["REGISTRY"] = digest.String(), host
	w.server = newAPIServer(t, append(someObjects(), loginSecret("pull", host))...)
	w.server.answer = func(map[string]any) map[string]any {
		content, _ := json.Marshal(w.status)
		var answer map[string]any
		_ = json.Unmarshal(content, &answer)
		return answer
	}
	w.server.handOver()
	return w
}

var (
	spent = regexp.MustCompile(`\d+\.\d s`)
	sizes = regexp.MustCompile(`\d+\.\d kB`)
	made  = regexp.MustCompile(`env-9-[0-9a-z-]+`)
	short = regexp.MustCompile(`\b[0-9a-f]{12}\b|\b[0-9a-f]{64}\b`)
)

// settled replaces what differs from run to run.
func (w *prepareWorld) settled(text string) string {
	text = strings.ReplaceAll(text, w.words["DIGEST"], "DIGEST")
	text = settled(text, w.words)
	for expression, word := range map[*regexp.Regexp]string{spent: "N s", sizes: "N kB", made: "REQUEST", short: "HASH"} {
		text = expression.ReplaceAllString(text, word)
	}
	return text
}

func hitStatus() v1alpha1.DevcontainerImageStatus {
	built := int64(225)
	return v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Explanation: "found the image of 3 h ago (environment env-1)",
		Image:      &v1alpha1.CachedImage{BuildSeconds: &built},
		Conditions: []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonHit, "found")},
	}
}

func bypassedStatus() v1alpha1.DevcontainerImageStatus {
	return v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheBypassed, Reason: v1alpha1.ReasonDisabled, Explanation: "the runner's cache is off"}
}

// prepareCases are runs of prepare; their outputs are in testdata/outputs, each with standard output first.
var prepareCases = map[string]struct {
	args   string
	status func() v1alpha1.DevcontainerImageStatus
	code   int
}{
	"prepare-hit":          {"--pull oci:IMAGES", hitStatus, cli.ExitSuccess},
	"prepare-hit-embedded": {"--builder embedded", hitStatus, cli.ExitSuccess},
	"prepare-hit-name":     {"--pull oci:IMAGES -o name", hitStatus, cli.ExitSuccess},
	"prepare-bypassed":     {"--builder embedded --exit-code", bypassedStatus, cli.ExitBypassed},
	"prepare-no-builder":   {"", hitStatus, cli.ExitFailed},
	"prepare-no-project":   {"--pull oci:IMAGES --project nope", hitStatus, cli.ExitFailed},
}

func prepareLine(args string) string {
	line := "prepare WORKSPACE --environment env-9 --project web"
	if args == "" {
		return line
	}
	return line + " " + args
}

// argumentsOf also finds a folder behind "oci:".
func (w *prepareWorld) argumentsOf(line string) []string {
	args := arguments(line, w.words)
	for i, arg := range args {
		args[i] = strings.Replace(arg, "oci:IMAGES", "oci:"+w.words["IMAGES"], 1)
	}
	return args
}

func TestPrepareInAPipe(t *testing.T) {
	for name, test := range prepareCases {
		t.Run(name, func(t *testing.T) {
			w := newPrepareWorld(t, test.status())
			code, stdout, stderr := inPipe(t, "", w.argumentsOf(prepareLine(test.args))[1:]...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if strings.ContainsAny(stdout+stderr, "\x1b\r") {
				t.Errorf("a pipe gets what is for terminals: %q", stdout+stderr)
			}
			golden(t, name, w.settled(stdout+"-- standard error\n"+stderr))
		})
	}
}

// screenOf is what stays on a terminal: a line that was written over is gone.
func screenOf(shown string) string {
	var screen strings.Builder
	for line := range strings.Lines(shown) {
		if over := strings.LastIndex(line, "\r\x1b[K"); over >= 0 {
			line = line[over+len("\r\x1b[K"):]
		}
		screen.WriteString(line)
	}
	return screen.String()
}

func TestPrepareOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, noColor := range []string{"", "1"} {
		w := newPrepareWorld(t, hitStatus())
		t.Setenv("NO_COLOR", noColor)
		var stderr bytes.Buffer
		shown := terminal.Show(t, func(tty *os.File) {
			execute(context.Background(), cli.Streams{In: strings.NewReader(""), Out: tty, Err: &stderr}, w.argumentsOf(prepareLine("--pull oci:IMAGES")))
		})
		if colours := colour.MatchString(shown); colours != (noColor == "") {
			t.Errorf("NO_COLOR=%q: colours %v in %q", noColor, colours, shown)
		}
		for _, want := range []string{"  … Pulling ", "[████████████████████] 100 %"} {
			if !strings.Contains(shown, want) {
				t.Errorf("no %q in %q", want, shown)
			}
		}
		golden(t, "prepare-hit-terminal", w.settled(colour.ReplaceAllString(screenOf(shown), "")+"-- standard error\n"+stderr.String()))
	}
}

func TestPrepareForPrograms(t *testing.T) {
	w := newPrepareWorld(t, hitStatus())
	code, stdout, stderr := inPipe(t, "", w.argumentsOf(prepareLine("--pull oci:IMAGES -o json"))[1:]...)
	var result struct {
		Outcome, Image, Reference, Hash, Request string
		Seconds                                  map[string]float64
	}
	decoder := json.NewDecoder(strings.NewReader(stdout))
	if err := decoder.Decode(&result); err != nil || decoder.More() || code != cli.ExitSuccess {
		t.Fatalf("exit code %d, %v: %s %s", code, err, stdout, stderr)
	}
	if result.Outcome != "Hit" || !strings.HasPrefix(result.Image, "oci:") || len(result.Hash) != 64 || result.Request == "" || result.Seconds["total"] == 0 {
		t.Errorf("result %+v", result)
	}
	if !strings.Contains(stderr, "⚡️ Using pre-built dev container (saved ~3m45s build time)") {
		t.Errorf("the log belongs on standard error: %s", stderr)
	}

	w = newPrepareWorld(t, hitStatus())
	_, stdout, stderr = inPipe(t, "", w.argumentsOf(prepareLine("--pull oci:IMAGES -o jsonl"))[1:]...)
	var events []string
	for line := range strings.Lines(stdout) {
		var event struct {
			Event, Step           string
			DoneBytes, TotalBytes int64
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.Event == "Progress" && (event.Step != "Pull" || event.DoneBytes != event.TotalBytes || event.TotalBytes < 300_000) {
			t.Errorf("progress %s", line)
		}
		events = append(events, strings.TrimSpace(event.Event+" "+event.Step))
	}
	want := "Section, Started Read, Finished Read, Started Lookup, Finished Lookup, Started Pull, Progress Pull, Finished Pull, Saved, Usable, Result"
	if got := strings.Join(events, ", "); got != want || stderr != "" {
		t.Errorf("events %s; standard error %q\nwant %s", got, stderr, want)
	}
}

func TestPrepareOfAnUnreachableBaseIsOneSentence(t *testing.T) {
	w := newPrepareWorld(t, bypassedStatus())
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	base := strings.TrimPrefix(away.URL, "http://") + "/base:1"
	w.words["WORKSPACE"] = folder(t, map[string]string{".devcontainer.json": `{"image": "` + base + `"}`})
	code, _, stderr := inPipe(t, "", w.argumentsOf(prepareLine("--builder embedded"))[1:]...)
	if code != cli.ExitFailed || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "imagecache: build dev container: pull "+base+": ") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
