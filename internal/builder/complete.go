package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

var (
	// ErrIncomplete means that the store has an image under this name and lacks parts of it. Load the image.
	ErrIncomplete = errors.New("the engine's store lacks parts of the image")
	// ErrNotTold means that the engine does not report whether its store has all of an image. Engines before Docker 27
	// with containerd's image store do not.
	ErrNotTold = errors.New("the engine does not report whether its store has all of the image")
)

// storedImage is what "image inspect" prints of an image:
// https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageInspect
type storedImage struct {
	ID     string `json:"Id"`
	OS     string `json:"Os"`
	Config *struct{}
	RootFS struct{ Layers []string }
}

// Complete asks for the image's configuration, which every engine reads from its store. The stores of podman and of
// Docker's graph drivers take an image with all of its layers, or not at all; their ID of an image is the digest of its
// configuration. The ID in containerd's store is the digest of the manifest, and that store leaves a blob out where it
// has the layer unpacked from another blob: https://github.com/moby/moby/issues/49473
//
// A graph driver's store is not asked: that an image was pulled into it and tagged proves the image.
func (p *program) Complete(ctx context.Context, name, digest string) error {
	if p.whole != nil && p.whole() {
		return nil
	}
	image, err := p.inspect(ctx, name)
	if err != nil {
		return err
	}
	if image.Config == nil || image.OS == "" || len(image.RootFS.Layers) == 0 {
		return fmt.Errorf("inspect image %s: %w: it has no configuration", name, ErrIncomplete)
	}
	if image.ID != digest {
		return nil
	}
	return p.hasBlobs(ctx, name, digest)
}

// GraphDriver reports whether an engine's store is one of Docker's graph drivers, such as overlay2. It may wait for the
// engine's answer.
func GraphDriver(engine Engine) bool {
	p, ok := engine.(*program)
	return ok && p.whole != nil && p.whole()
}

// snapshotter is what the status of the driver says where containerd keeps the images.
const snapshotter = "io.containerd.snapshotter"

// findStore asks docker what keeps its images, while the caller goes on:
// https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo
func (p *program) findStore(ctx context.Context) {
	p.whole = sync.OnceValue(func() bool {
		printed, err := p.output(ctx, "info", "--format", "{{json .DriverStatus}}")
		var status [][]string
		if err != nil || json.Unmarshal([]byte(printed), &status) != nil || len(status) == 0 {
			return false
		}
		return !strings.Contains(printed, snapshotter)
	})
	go p.whole()
}

func (p *program) inspect(ctx context.Context, name string) (*storedImage, error) {
	printed, err := p.output(ctx, "image", "inspect", name)
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	var images []storedImage
	if err := json.Unmarshal([]byte(printed), &images); err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("inspect image %s: want one image, found %d", name, len(images))
	}
	return &images[0], nil
}

// listedImage is an image in docker's list. Manifests exist from version 1.47 of the API on, with containerd's store:
// https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Image/operation/ImageList
type listedImage struct {
	Manifests []struct {
		ID string
		// Available: the store has the manifest, the configuration and all layers.
		Available bool
	}
}

// hasBlobs asks docker whether containerd's store has every blob of an image.
func (p *program) hasBlobs(ctx context.Context, name, digest string) error {
	filters, err := json.Marshal(map[string][]string{"reference": {name}})
	if err != nil {
		return fmt.Errorf("list image %s: %w", name, err)
	}
	var images []listedImage
	path := "/images/json?" + url.Values{"manifests": {"1"}, "filters": {string(filters)}}.Encode()
	if err := p.get(ctx, path, &images); err != nil {
		return fmt.Errorf("list image %s: %w: %w", name, ErrNotTold, err)
	}
	for _, image := range images {
		for _, manifest := range image.Manifests {
			switch {
			case manifest.ID != digest:
			case manifest.Available:
				return nil
			default:
				return fmt.Errorf("list image %s: %w: blobs were left out", name, ErrIncomplete)
			}
		}
	}
	return fmt.Errorf("list image %s: %w", name, ErrNotTold)
}

// get asks docker's API. The client's own connection is used: it knows all ways to a daemon, as contexts, TLS and ssh.
// "docker system dial-stdio" exists from Docker 18.09 on.
func (p *program) get(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	stdin, requests, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = stdin.Close() }()
	answers, stdout, err := os.Pipe()
	if err != nil {
		_ = requests.Close()
		return err
	}
	defer func() { _ = answers.Close() }()
	c := command{path: p.path, arguments: []string{"system", "dial-stdio"}, stdin: stdin, stdout: stdout}
	ended := make(chan error, 1)
	go func() {
		err := c.run(ctx)
		_ = stdout.Close() // ends the reader
		ended <- err
	}()
	err = request.Write(requests)
	if err == nil {
		err = readAnswer(answers, request, answer)
	}
	_ = requests.Close() // not earlier: docker takes a client that has ended for one that wants no answer
	if runErr := <-ended; err != nil && runErr != nil {
		err = runErr // the reader's error only follows from it
	}
	return err
}

// readAnswer reads one answer of HTTP with a JSON value.
func readAnswer(from io.Reader, request *http.Request, answer any) error {
	response, err := http.ReadResponse(bufio.NewReader(from), request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the engine answers %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// Complete: a layout has what its index names.
func (e *embedded) Complete(context.Context, string, string) error { return nil }
