package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/tempfolder"
	"imagecache.dev/internal/transfer"
	"imagecache.dev/test/engine"
)

// orderVariable holds an order. It makes a process of imagecache's own code from this program, so that its memory and its
// processor time are its own.
const orderVariable = "IMAGECACHE_BENCH_TRANSFER"

// order is what imagecache does in a process of its own.
type order struct {
	Engine string
	// Pull is a reference to pull, with a digest; else Publish is the name of an image to publish into Repository.
	Pull, Publish, Repository string
}

// done is what an order took.
type done struct {
	Seconds float64
	// Saving is the part of a publication until all digests are known.
	Saving float64
	Bytes  int64
	// Megabytes of memory that imagecache had at most.
	Megabytes float64
	// CPU seconds of the order with all programs, and of the engine.
	CPU float64 `json:"-"`
}

func init() {
	text := os.Getenv(orderVariable)
	if text == "" {
		return
	}
	var o order
	answer := &done{}
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		answer, err = o.carryOut(context.Background())
	}
	if err == nil {
		answer.Megabytes, err = ownMegabytes()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ownMegabytes is the most memory that this program has had. The peak in a process's usage is that of its parent, if the
// parent was larger when it started the process.
func ownMegabytes() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if peak, found := strings.CutPrefix(line, "VmHWM:"); found {
			kibibytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(peak), " kB"), 64)
			return kibibytes * 1024 / 1e6, err
		}
	}
	return 0, errors.New("read memory: /proc/self/status has no peak")
}

func (o order) carryOut(ctx context.Context) (*done, error) {
	e, err := builder.Find(ctx, o.Engine)
	if err != nil {
		return nil, err
	}
	if o.Pull != "" {
		return o.pull(ctx, e)
	}
	return o.publish(ctx, e)
}

// pull does what prepare does on a hit.
func (o order) pull(ctx context.Context, e builder.Engine) (*done, error) {
	image, err := name.NewDigest(o.Pull)
	if err != nil {
		return nil, err
	}
	secret, err := dockerconfig.Encode(dockerconfig.Login{Registry: image.Context().RegistryStr(), Username: "bench", Password: "bench"})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	err = runner.PullInto(ctx, e, o.Pull, "localhost/bench/pulled:1", secret)
	return &done{Seconds: time.Since(began).Seconds()}, err
}

// publish does what a builder does from the end of the build until the cache has all blobs. What is left is the report and
// the answer to it: two objects in a cluster.
func (o order) publish(ctx context.Context, e builder.Engine) (*done, error) {
	repository, err := name.NewRepository(o.Repository)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	folder, err := tempfolder.New(tempfolder.Layers)
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Remove() }()
	saved, err := e.Save(ctx, o.Publish, folder.Path, compression.Zstd, nil)
	if err != nil {
		return nil, err
	}
	layers, err := saved.Layers()
	if err != nil {
		return nil, err
	}
	saving := time.Since(began)
	bytes, err := transfer.Upload(ctx, repository, authn.Anonymous, layers, nil)
	if err == nil {
		err = builder.Prove(ctx, saved)
	}
	return &done{Seconds: time.Since(began).Seconds(), Saving: saving.Seconds(), Bytes: bytes}, err
}

// run carries out an order with an engine, in a process whose state is in a folder.
func (o order) run(ctx context.Context, e *engine.Engine, state string) (*done, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o.Engine = e.Kind.Program()
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	before, err := cpuOf(e.PID())
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	child := exec.CommandContext(ctx, own)
	child.Env = append(os.Environ(), e.Environment...)
	child.Env = append(child.Env, orderVariable+"="+string(text), "XDG_STATE_HOME="+state)
	child.Stdout, child.Stderr = &out, &said
	if err := child.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", e.Kind, err, said.String())
	}
	answer := &done{}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		return nil, fmt.Errorf("%s: read answer: %w", e.Kind, err)
	}
	after, err := cpuOf(e.PID())
	if err != nil {
		return nil, err
	}
	answer.CPU = (after - before).Seconds()
	return answer, nil
}

// own runs the engine's own command, as a measure.
func own(ctx context.Context, e *engine.Engine, arguments ...string) (*done, error) {
	before, err := cpuOf(e.PID())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if said, err := e.Command(ctx, arguments...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %s: %w: %s", e.Kind, arguments[0], err, said)
	}
	took := time.Since(began)
	after, err := cpuOf(e.PID())
	return &done{Seconds: took.Seconds(), CPU: (after - before).Seconds()}, err
}
