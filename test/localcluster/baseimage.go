package localcluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pollInterval is the pause between questions for something that takes seconds.
const pollInterval = 100 * time.Millisecond

// PushImage puts an image into a repository of the emulated registry, which it makes if need be, and returns its
// reference.
func (c *Cluster) PushImage(ctx context.Context, repository, tag string, image v1.Image) (string, error) {
	client := ecr.NewFromConfig(c.aws.rootConfig())
	var exists *ecrtypes.RepositoryAlreadyExistsException
	if _, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &repository}); err != nil && !errors.As(err, &exists) {
		return "", fmt.Errorf("create repository %s: %w", repository, err)
	}
	reference, err := name.NewTag(c.RegistryHost()+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("name image: %w", err)
	}
	password, err := c.registryPassword(ctx)
	if err != nil {
		return "", err
	}
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})
	if err := remote.Write(reference, image, auth, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", reference, err)
	}
	return reference.String(), nil
}

// WriteDockerConfig writes a Docker configuration into dir with a password for the registry, for those who pull base
// images from it.
func (c *Cluster) WriteDockerConfig(ctx context.Context, dir string) error {
	password, err := c.registryPassword(ctx)
	if err != nil {
		return err
	}
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:" + password))
	content, err := json.Marshal(map[string]any{"auths": map[string]any{c.RegistryHost(): map[string]string{"auth": auth}}})
	if err != nil {
		return fmt.Errorf("write docker configuration: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make docker configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), content, 0o600); err != nil {
		return fmt.Errorf("write docker configuration: %w", err)
	}
	return nil
}

// registryPassword is the registry password of the account's root.
func (c *Cluster) registryPassword(ctx context.Context) (string, error) {
	output, err := ecr.NewFromConfig(c.aws.rootConfig()).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil || len(output.AuthorizationData) == 0 {
		return "", errors.Join(errors.New("get registry password"), err)
	}
	pair, err := base64.StdEncoding.DecodeString(awssdk.ToString(output.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", fmt.Errorf("decode registry password: %w", err)
	}
	_, password, _ := strings.Cut(string(pair), ":")
	return password, nil
}
