package builder

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/savedimage"
)

// program is an engine that is reached by its command line, which docker and
// podman have in common as far as it is used here.
type program struct {
	name string
	path string
	cli  string // name or path of the reference CLI
	// server is the version of docker's daemon; empty for podman.
	server string
	// passedOver is why docker was not taken; nil where nobody would expect it.
	passedOver error
	// temporary is the folder of podman's temporary files, which may take a moment to find; nil for docker, whose daemon
	// has its own.
	temporary func() string
	// whole reports whether the store is known to take an image with all of its layers or not at all, which may take a
	// moment to find; nil where that is not asked.
	whole func() bool
}

func (p *program) Name() string { return p.name }

func (p *program) Ready() error {
	if _, err := exec.LookPath(p.cli); err != nil {
		return fmt.Errorf(
			"%w: %s can't be run; install it with npm install -g @devcontainers/cli, or set %s", ErrNoCLI, p.cli, CLIVariable,
		)
	}
	return nil
}

func (p *program) Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error {
	arguments := []string{"pull", "--quiet"}
	if p.name == Podman && isLoopback(reference) {
		arguments = append(arguments, "--tls-verify=false")
	}
	c := command{
		path: p.path, arguments: append(arguments, reference), environment: dockerconfig.Environment(dockerConfigDir),
		logs: logs,
	}
	if err := p.runWithFolder(ctx, c); err != nil {
		return fmt.Errorf("pull %s: %w", reference, err)
	}
	return nil
}

// isLoopback reports whether an image's registry is at an address of this machine. docker takes plain HTTP there by
// itself: https://docs.docker.com/reference/cli/dockerd/#insecure-registries
func isLoopback(reference string) bool {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return false
	}
	host, _, _ := strings.Cut(parsed.Context().RegistryStr(), ":")
	address := net.ParseIP(host)
	return address != nil && address.IsLoopback()
}

func (p *program) Tag(ctx context.Context, source, target string) error {
	if _, err := p.output(ctx, "tag", source, target); err != nil {
		return fmt.Errorf("tag %s as %s: %w", source, target, err)
	}
	return nil
}

func (p *program) Remove(ctx context.Context, name string) error {
	_, err := p.output(ctx, "rmi", name)
	if err == nil {
		return nil
	}
	// docker says "No such image", podman "image not known".
	if message := strings.ToLower(
		err.Error(),
	); strings.Contains(message, "no such image") ||
		strings.Contains(message, "image not known") {
		return nil
	}
	return fmt.Errorf("remove image %s: %w", name, err)
}

func (p *program) Load(ctx context.Context, image v1.Image, imageName string) error {
	tag, err := name.NewTag(imageName, name.WithDefaultRegistry("localhost"))
	if err != nil {
		return fmt.Errorf("load image: %w", err)
	}
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(tarball.Write(tag, savedimage.Readable{Image: image}, writer)) }()
	c := command{path: p.path, arguments: []string{"load", "--quiet"}, stdin: reader}
	err = p.runWithFolder(ctx, c)
	_ = reader.Close() // ends the writer where the engine did not read all
	if err != nil {
		return fmt.Errorf("load image %s: %w", imageName, err)
	}
	return nil
}

// Save lets the engine push the image, or writes an archive of it where that does not work: an engine on another
// machine does not reach this one's loopback. Docker's graph drivers compress what they push with one core a layer, and
// podman computes several digests of it: both take longer than an archive, unless podman can leave most of the image
// out.
func (p *program) Save(
	ctx context.Context, name, dir string, format compression.Format, progress func(bytes int64),
) (v1.Image, error) {
	if p.whole == nil || !p.whole() {
		image, err := p.takeOut(ctx, name, dir, format, progress)
		if err == nil || ctx.Err() != nil {
			return image, err
		}
	}
	image, err := p.saveArchive(ctx, name, dir, format, progress)
	if err == nil && p.name == Podman {
		recordArchive(ctx, image, format)
	}
	return image, err
}

func (p *program) saveArchive(
	ctx context.Context, name, dir string, format compression.Format, progress func(bytes int64),
) (v1.Image, error) {
	arguments := []string{"save"}
	if p.name == Podman {
		arguments = append(arguments, "--format", "docker-archive")
	}
	reader, writer, err := newPipe()
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	c := command{path: p.path, arguments: append(arguments, name), stdout: writer}
	done := make(chan error, 1)
	go func() {
		err := p.runWithFolder(ctx, c)
		_ = writer.Close()
		done <- err
	}()
	image, err := savedimage.ReadArchive(ctx, &countedReader{Reader: reader, progress: progress}, dir, format)
	_ = reader.Close() // ends an engine that still writes
	if saveErr := <-done; saveErr != nil && err != nil {
		err = saveErr // the reader's error only follows from it
	}
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	return image, nil
}

// output runs the engine and returns what it prints, without white space around.
func (p *program) output(ctx context.Context, arguments ...string) (string, error) {
	var out strings.Builder
	c := command{path: p.path, arguments: arguments, stdout: &out}
	err := c.run(ctx)
	return strings.TrimSpace(out.String()), err
}

// hasBuildKit answers as the reference CLI does, which also asks for buildx.
func (p *program) hasBuildKit(ctx context.Context) bool {
	if p.name != Docker {
		return false
	}
	_, err := p.output(ctx, "buildx", "version")
	return err == nil
}

// TakesLayers reports whether the engine builds with BuildKit.
func (p *program) TakesLayers(ctx context.Context) bool { return p.hasBuildKit(ctx) }

// store names the engine's image store, for a lock.
func (p *program) store(ctx context.Context) (string, error) {
	format := "{{.Store.GraphRoot}}"
	if p.name == Docker {
		format = "{{.ID}}"
	}
	store, err := p.output(ctx, "info", "--format", format)
	if err != nil {
		return "", fmt.Errorf("find image store: %w", err)
	}
	return p.name + " " + store, nil
}

// ownPlatform is what an engine without BuildKit builds for.
func ownPlatform() string { return "linux/" + runtime.GOARCH }
