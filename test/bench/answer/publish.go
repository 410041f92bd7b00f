package answer

import (
	"context"
	"errors"
	"fmt"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/bench/world"
	"imagecache.dev/test/signedimage"
)

// firstHit puts an image under the hash, asks once, and waits until everything that a first request brings about is
// done: credentials made, facts known.
func firstHit(ctx context.Context, w *world.World, project *v1alpha1.ProjectImageCache) (*v1alpha1.DevcontainerImage, error) {
	if err := publish(ctx, w, project.Status.Repository); err != nil {
		return nil, fmt.Errorf("publish image: %w", err)
	}
	hit := request(project.Namespace, "first")
	if err := w.Client.Create(ctx, hit); err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(hit), hit)
		return hit.Status.FinishedAt != nil, err
	})
	if err == nil && hit.Status.CacheResult != v1alpha1.CacheHit {
		err = fmt.Errorf("it is a %s: %s", hit.Status.CacheResult, hit.Status.Explanation)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for the first hit: %w", err)
	}
	return hit, nil
}

// publish puts a signed image into the repository as the controller's identity.
func publish(ctx context.Context, w *world.World, repository *v1alpha1.RepositoryStatus) error {
	base, err := random.Image(1024, 3)
	if err != nil {
		return err
	}
	config, err := base.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{
		imagelabel.Hash: configHash, imagelabel.Version: fmt.Sprint(hash.Version), imagelabel.UID: "bench",
		imagelabel.BuildSeconds: "225", imagelabel.Environment: "e-0",
	}
	image, err := mutate.ConfigFile(base, config)
	if err != nil {
		return err
	}
	if image, err = sign(ctx, w, image, repository.ARN); err != nil {
		return err
	}
	token, err := ecr.New(ecr.Options{
		Region: w.AWS.Region(), BaseEndpoint: awssdk.String(w.AWS.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(w.AWS.AccessKeyID(), w.AWS.SecretAccessKey(), ""),
	}).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil || len(token.AuthorizationData) == 0 {
		return errors.Join(errors.New("get registry password"), err)
	}
	return push(ctx, repository.URI, image, awssdk.ToString(token.AuthorizationData[0].AuthorizationToken))
}

func sign(ctx context.Context, w *world.World, image v1.Image, repositoryARN string) (v1.Image, error) {
	key, err := w.SigningKey(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := signedimage.Claims(image, repositoryARN)
	if err != nil {
		return nil, err
	}
	return signedimage.Sign(ctx, image, key, claims)
}

func push(ctx context.Context, uri string, image v1.Image, auth string) error {
	tag, err := name.NewTag(uri+":"+configHash, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(tag, image, remote.WithContext(ctx), remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: auth})))
}
