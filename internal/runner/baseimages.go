package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"imagecache.dev/internal/hash"
)

// errStaleBase is the reason not to publish an image whose base is another than its key says.
var errStaleBase = errors.New("a base image is not the one in the hash")

// pullBases brings the base images whose digests are in the key into the engine's store. A build takes what the store
// has under a name, which may be older than what the registry had when the key was made. The error is a reason not to
// publish; the environment can use the image.
func (p *preparation) pullBases(ctx context.Context) error {
	var bases []hash.Input
	for _, input := range p.subject.key.Inputs {
		if input.Name == hash.InputBaseImages {
			bases = append(bases, input)
		}
	}
	// Another platform's image may not exist for this machine, for which an engine pulls.
	isOwnPlatform := p.subject.key.Platform == "linux/"+runtime.GOARCH
	if len(bases) == 0 || p.engine == nil || !isOwnPlatform {
		return nil
	}
	step := p.steps.start("PullBases", "Pulling base images")
	for _, base := range bases {
		reference, _, _ := strings.Cut(base.Path, " ") // a platform may follow
		if err := p.pullBase(ctx, reference, base.Digest); err != nil {
			step.failed("The base images are not those of the hash")
			return err
		}
	}
	step.finished(fmt.Sprintf("Pulled %d base images", len(bases)))
	return nil
}

func (p *preparation) pullBase(ctx context.Context, reference, digest string) error {
	if err := p.engine.Pull(ctx, reference, "", nil); err != nil {
		return fmt.Errorf("%w: %w", errStaleBase, err)
	}
	digests, err := p.engine.Digests(ctx, reference)
	if err != nil {
		return fmt.Errorf("%w: %w", errStaleBase, err)
	}
	if !slices.Contains(digests, digest) {
		return fmt.Errorf("%w: %s has %s, want %s", errStaleBase, reference, strings.Join(digests, ", "), digest)
	}
	return nil
}
