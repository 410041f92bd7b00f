package publish

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/bench/world"
)

// image is what one environment built, and its report.
type image struct {
	v1.Image
	report map[string]any
}

// newImage makes an image of three layers for a request.
func newImage(request *v1alpha1.DevcontainerImage) (image, error) {
	base, err := random.Image(1024, 3)
	if err != nil {
		return image{}, err
	}
	config, err := base.ConfigFile()
	if err != nil {
		return image{}, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{
		imagelabel.Hash: request.Status.ConfigHash, imagelabel.Version: fmt.Sprint(hash.Version), imagelabel.UID: string(request.UID),
		imagelabel.BuildSeconds: "225", imagelabel.Environment: request.Spec.EnvironmentID,
	}
	made, err := mutate.ConfigFile(base, config)
	if err != nil {
		return image{}, err
	}
	manifest, err := made.RawManifest()
	if err != nil {
		return image{}, err
	}
	raw, err := made.RawConfigFile()
	return image{made, map[string]any{
		"outcome": "Succeeded", "manifest": string(manifest), "config": string(raw), "durationSeconds": 225, "keyCoverage": "Complete",
	}}, err
}

// upload uploads what the request says is missing, with the rights that it was given.
func (i image) upload(ctx context.Context, w *world.World, request *v1alpha1.DevcontainerImage) error {
	secret, err := cluster.CredentialSecret(ctx, w.Client, request.Namespace, request.Status.PushCredentials.SecretName)
	if err != nil {
		return err
	}
	repository, err := name.NewRepository(request.Status.RepositoryURI, name.Insecure)
	if err != nil {
		return err
	}
	auth, err := dockerconfig.Authenticator(secret, repository.RegistryStr())
	if err != nil {
		return err
	}
	for _, digest := range request.Status.MissingLayers {
		parsed, err := v1.NewHash(digest)
		if err != nil {
			return err
		}
		layer, err := i.LayerByDigest(parsed)
		if err != nil {
			return err
		}
		if err := remote.WriteLayer(repository, layer, remote.WithContext(ctx), remote.WithAuth(auth)); err != nil {
			return fmt.Errorf("upload layer: %w", err)
		}
	}
	return nil
}

// mergePatch is a merge patch of a spec.
func mergePatch(spec map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{"spec": spec})
}
