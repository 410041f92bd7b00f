package builder

import (
	"context"
	"errors"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/compression"
)

// Names of engines.
const (
	Docker   = "docker"
	Podman   = "podman"
	Embedded = "embedded"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrNoEngine: the machine has no container engine, or not the one asked for.
	ErrNoEngine = errors.New("no builder on this machine")
	// ErrNoCLI: the reference CLI is missing.
	ErrNoCLI = errors.New("the dev container CLI is missing")
	// ErrNotSupported: this engine can't build this configuration or platform; another one may.
	ErrNotSupported = errors.New("not supported by this builder")
)

// BuildError is a build that ran and failed, by what the configuration says.
type BuildError struct {
	// Message is the builder's own, in one line.
	Message string
}

func (e *BuildError) Error() string { return "build dev container: " + e.Message }

// Engine is a container engine with its image store.
type Engine interface {
	// Name is Docker, Podman or Embedded.
	Name() string
	// Ready reports what is missing for Build, in one sentence.
	Ready() error
	// Build runs "devcontainer build" and leaves the image in the store. It
	// blocks until the build ends; ending ctx ends all processes of the build.
	Build(ctx context.Context, r Request) (*Result, error)
	// Save writes the store's image with a name or an ID into the folder dir and returns it. Each
	// layer is compressed once, in this format unless it is in gzip already; the same layer gives the same bytes each
	// time. A layer may stay in the store, if that has its compressed blob or this machine published the layer before.
	// With a context of priority.Low it works at low priority, as far as it
	// works in this process and its children. progress, which may be nil,
	// receives from time to time how many bytes the engine has written: their total is not known.
	// The image reads from dir, and from the store by the same name or ID, for as long as it is used; from the store until
	// ctx ends. Call Prove before it is published.
	Save(
		ctx context.Context, name, dir string, format compression.Format, progress func(bytes int64),
	) (v1.Image, error)
	// Load puts an image into the store under a name.
	Load(ctx context.Context, image v1.Image, name string) error
	// Pull gets an image, best named by digest, from its registry.
	// dockerConfigDir as in Request.
	Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error
	// Digests returns the digests, as "sha256:…", under which registries have a pulled image: of its manifest, of the
	// index that it was pulled by, or of both.
	Digests(ctx context.Context, name string) ([]string, error)
	// Complete reports whether the store has all of an image that was pulled or loaded: its configuration, and every blob
	// of the manifest with this digest. ErrIncomplete where it lacks some; ErrNotTold where the engine does not report it.
	Complete(ctx context.Context, name, digest string) error
	// LoadBlobs puts an image into the store under a name, with the manifest and the blobs that its registry has, whether
	// or not the store needs them. It leaves out the layers that the caller knows to be in the store.
	LoadBlobs(ctx context.Context, image v1.Image, name string, without func(digest v1.Hash) bool) error
	// Tag gives an image of the store a further name.
	Tag(ctx context.Context, source, target string) error
	// Remove takes a name away, and the image if that was its last. A name that is gone is no error.
	Remove(ctx context.Context, name string) error
}

// LayerTaker is an engine whose builds may take layers over from an image in a registry.
type LayerTaker interface {
	// TakesLayers reports whether they do: only BuildKit can.
	TakesLayers(ctx context.Context) bool
}

// Request is one build.
type Request struct {
	// Workspace is the folder.
	Workspace string
	// ConfigPath of the devcontainer.json, relative to the workspace; "" for the default places.
	ConfigPath string
	// ImageName that the image gets in the store.
	ImageName string
	// Platform as "linux/amd64"; "" for the engine's own.
	Platform string
	// NoCache builds every step anew.
	NoCache bool
	// Logs gets what the builder says, as it says it. May be nil.
	Logs io.Writer
	// LayersFrom is the reference of an image whose layers a LayerTaker may take over for steps that are unchanged; ""
	// for none.
	LayersFrom string
	// DockerConfigDir is a folder with a config.json that has the credentials
	// for base images and Features; "" for the user's own.
	DockerConfigDir string
	// Compose is the service that is built, of a configuration of Docker Compose; nil for any other.
	Compose *ComposeService
}

// Result is a build that succeeded.
type Result struct {
	// ImageName in the store.
	ImageName string
	// ImageID names what was built, also after another build took the name; Save and Tag take it. containerd's store
	// drops an image that has no name any more. It is empty where the engine doesn't tell it.
	ImageID string
	// Duration of the build itself, without waiting for another one's lock.
	Duration time.Duration
	// CachedSteps is how many RUN steps came from the engine's layer cache. A machine without that cache
	// takes longer than Duration.
	CachedSteps int
}
