package hash

import (
	"context"
	"errors"
	"fmt"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/files"
)

// Options say what a key holds beside the two files.
type Options struct {
	// Platform of the image, as "linux/amd64"; DefaultPlatform where empty.
	Platform string
	// BuildPlatform is the platform of the machine that builds, as "linux/amd64";
	// this machine's where empty.
	BuildPlatform string
	// Inputs are the Settings to include.
	Inputs []string
	// Limits of what BuildContext and Features read; files.DefaultLimits where zero.
	Limits files.Limits
	// Resolve returns the digest that an image's name has now, "sha256:…". Where
	// nil, registries are asked with the user's own credentials.
	Resolve func(ctx context.Context, reference, platform string) (string, error)
}

// Key is a hash and what it was made of.
type Key struct {
	// Hash is 64 lowercase hexadecimal characters.
	Hash     string `json:"hash"`
	Version  int    `json:"version"`
	Platform string `json:"platform"`
	// Inputs in the order of the hash.
	Inputs   []Input   `json:"inputs"`
	Warnings []Warning `json:"warnings"`
	// Complete says that all that the configuration takes from files, names and
	// variables is in the key. What RUN fetches is beyond any key.
	Complete bool `json:"complete"`
}

// Compute makes the key of a configuration. It reads the workspace for
// BuildContext and Features, and asks registries for BaseImages, and for
// nothing else.
func Compute(ctx context.Context, c *devcontainer.Configuration, o Options) (*Key, error) {
	return computeKey(ctx, c, nil, o)
}

// FromContents makes the key with default inputs from the contents of the two
// files: the same hash as Compute makes of a workspace that holds them.
// dockerfile is empty exactly where the configuration refers to none.
func FromContents(devcontainerJSON, dockerfile []byte, platform string) (*Key, error) {
	c, err := devcontainer.Parse(devcontainerJSON)
	if err != nil {
		return nil, fmt.Errorf("compute hash: %w", err)
	}
	switch {
	case c.Type == devcontainer.TypeDockerfile && len(dockerfile) == 0:
		return nil, fmt.Errorf(
			"compute hash: devcontainer.json refers to the Dockerfile %s, whose contents are missing", c.Dockerfile,
		)
	case c.Type != devcontainer.TypeDockerfile && len(dockerfile) > 0:
		return nil, errors.New("compute hash: a Dockerfile is given, and devcontainer.json refers to none")
	}
	c.DockerfileRaw = dockerfile
	return Compute(context.Background(), c, Options{Platform: platform})
}
