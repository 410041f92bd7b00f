package hash

import (
	"context"
	"fmt"
	"slices"

	"imagecache.dev/internal/devcontainer"
)

// Options say what a key holds beside the two files.
type Options struct {
	// Platform of the image, as "linux/amd64"; DefaultPlatform where empty.
	Platform string
	// Inputs are the Settings to include.
	Inputs []string
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

// Compute makes the key of a configuration.
func Compute(_ context.Context, c *devcontainer.Configuration, o Options) (*Key, error) {
	for _, input := range o.Inputs {
		if !slices.Contains(Settings, input) {
			return nil, fmt.Errorf("compute hash: no key input is named %q: want some of %q", input, Settings)
		}
	}
	if c.Type == devcontainer.TypeDockerfile && len(c.DockerfileRaw) == 0 {
		return nil, fmt.Errorf("compute hash: Dockerfile %s is empty", c.Dockerfile)
	}
	key := &Key{Warnings: []Warning{}, Complete: true}
	key.Inputs = append(key.Inputs, contentInput(InputConfiguration, c.Path, c.Raw))
	if c.Type == devcontainer.TypeDockerfile {
		key.Inputs = append(key.Inputs, contentInput(InputDockerfile, c.Dockerfile, c.DockerfileRaw))
	}
	return key.finish(o.Platform)
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
		return nil, fmt.Errorf("compute hash: devcontainer.json refers to the Dockerfile %s, whose contents are missing", c.Dockerfile)
	case c.Type != devcontainer.TypeDockerfile && len(dockerfile) > 0:
		return nil, fmt.Errorf("compute hash: a Dockerfile is given, and devcontainer.json refers to none")
	}
	c.DockerfileRaw = dockerfile
	return Compute(context.Background(), c, Options{Platform: platform})
}

// finish orders the inputs and hashes them.
func (k *Key) finish(platform string) (*Key, error) {
	var err error
	if k.Platform, err = normalizePlatform(platform); err != nil {
		return nil, fmt.Errorf("compute hash: %w", err)
	}
	k.Version = Version
	slices.SortFunc(k.Inputs, compareInputs)
	if k.Hash, err = Sum(k.Platform, k.Inputs); err != nil {
		return nil, fmt.Errorf("compute hash: %w", err)
	}
	return k, nil
}
