package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	reference "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Digests asks the engine for an image's repository digests:
// https://docs.docker.com/reference/cli/docker/image/inspect/
func (p *program) Digests(ctx context.Context, name string) ([]string, error) {
	printed, err := p.output(ctx, "image", "inspect", "--format", "{{json .RepoDigests}}", name)
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	var references []string
	if err := json.Unmarshal([]byte(printed), &references); err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	return digestsOf(references), nil
}

func digestsOf(references []string) []string {
	var digests []string
	for _, reference := range references {
		if _, digest, found := strings.Cut(reference, "@"); found {
			digests = append(digests, digest)
		}
	}
	return digests
}

// Digests asks the registry, from which every build takes its base image.
func (e *embedded) Digests(ctx context.Context, name string) ([]string, error) {
	parsed, err := reference.ParseReference(name)
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	found, err := remote.Head(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", name, err)
	}
	return []string{found.Digest.String()}, nil
}
