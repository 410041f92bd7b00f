package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// login is a registry password.
type login struct {
	user, password string
	expires        time.Time
}

func newLogin(token string, expires time.Time) (login, error) {
	decoded, err := base64.StdEncoding.DecodeString(token)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return login{}, errors.New("the registry password can't be read")
	}
	return login{user, password, expires}, nil
}

func (l login) option() remote.Option {
	return remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: l.user, Password: l.password}))
}

// pushed is an image of the checks.
type pushed struct {
	image             v1.Image
	manifest          []byte
	mediaType, digest string
}

// newImage makes a small image that nobody has seen before.
func newImage() (pushed, error) {
	image, err := random.Image(256, 1)
	if err != nil {
		return pushed{}, err
	}
	return describe(image)
}

// twin is another image of the same layers.
func (p pushed) twin() (pushed, error) {
	return describe(mutate.Annotations(p.image, map[string]string{"twin": p.digest}).(v1.Image))
}

// annotated is an image of the same blobs whose OCI manifest and layers have annotations.
func (p pushed) annotated() (pushed, error) {
	var manifest v1.Manifest
	if err := json.Unmarshal(p.manifest, &manifest); err != nil {
		return pushed{}, err
	}
	note := map[string]string{"dev.imagecache.conformance": p.digest}
	manifest.MediaType, manifest.Annotations = types.OCIManifestSchema1, note
	manifest.Config.MediaType = types.OCIConfigJSON
	for n := range manifest.Layers {
		manifest.Layers[n].MediaType, manifest.Layers[n].Annotations = types.OCILayer, note
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return pushed{}, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	return pushed{p.image, content, string(manifest.MediaType), digest.String()}, err
}

func describe(image v1.Image) (pushed, error) {
	manifest, err := image.RawManifest()
	if err != nil {
		return pushed{}, err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return pushed{}, err
	}
	digest, err := image.Digest()
	return pushed{image, manifest, string(mediaType), digest.String()}, err
}

// upload uploads an image's layers and configuration, and no manifest.
func (w *world) upload(ctx context.Context, r repository, l login, p pushed) error {
	repository, err := name.NewRepository(r.uri)
	if err != nil {
		return err
	}
	layers, err := p.image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := remote.WriteLayer(repository, layer, remote.WithContext(ctx), l.option()); err != nil {
			return err
		}
	}
	config, err := p.image.RawConfigFile()
	if err != nil {
		return err
	}
	digest, err := p.image.ConfigName()
	if err != nil {
		return err
	}
	return remote.WriteLayer(repository, blob{config, digest}, remote.WithContext(ctx), l.option())
}

// put publishes an image as the caller, by the API.
func (w *world) put(ctx context.Context, r repository, tag string, p pushed) error {
	_, err := w.clients.ECR.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: &r.name, ImageTag: &tag, ImageManifest: awssdk.String(string(p.manifest)), ImageManifestMediaType: &p.mediaType,
	})
	return err
}

// publish makes an image and publishes it, with layers that an upload password brought.
func (w *world) publish(ctx context.Context, r repository, tag string) (pushed, error) {
	p, err := newImage()
	if err != nil {
		return p, err
	}
	var uploader login
	err = w.until(ctx, func() error {
		if uploader, err = w.login(ctx, w.push, r.project, sessionpolicyPush(w, r)); err != nil {
			return err
		}
		return w.upload(ctx, r, uploader, p)
	})
	if err != nil {
		return p, fmt.Errorf("upload layers: %w", err)
	}
	return p, w.put(ctx, r, tag, p)
}

// pullManifest reads an image's manifest by tag with a registry password.
func (w *world) pullManifest(ctx context.Context, r repository, l login, tag string) error {
	return w.request(ctx, http.MethodGet, r, l, "manifests/"+tag, "", nil)
}

// putManifest puts a manifest with a registry password.
func (w *world) putManifest(ctx context.Context, r repository, l login, tag string, p pushed) error {
	return w.request(ctx, http.MethodPut, r, l, "manifests/"+tag, p.mediaType, p.manifest)
}

// refused says whether the registry answered that it may not be done, and not anything else.
func refused(err error) bool {
	var answered *registryError
	return errors.As(err, &answered) && answered.status == http.StatusForbidden
}

// registryError is the registry's answer. It holds no password.
type registryError struct {
	status  int
	message string
}

func (e *registryError) Error() string {
	return fmt.Sprintf("the registry answers %d: %s", e.status, e.message)
}

func (w *world) request(ctx context.Context, method string, r repository, l login, path, mediaType string, body []byte) error {
	repository, err := name.NewRepository(r.uri)
	if err != nil {
		return err
	}
	address := repository.Scheme() + "://" + repository.RegistryStr() + "/v2/" + repository.RepositoryStr() + "/" + path
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.SetBasicAuth(l.user, l.password)
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	var answer struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	message := response.Status
	if json.Unmarshal(content, &answer) == nil && len(answer.Errors) > 0 {
		message = answer.Errors[0].Code + ": " + answer.Errors[0].Message
	}
	return &registryError{response.StatusCode, message}
}

// blob is an image's configuration as something to upload.
type blob struct {
	content []byte
	digest  v1.Hash
}

func (b blob) Digest() (v1.Hash, error) { return b.digest, nil }
func (b blob) DiffID() (v1.Hash, error) { return b.digest, nil }
func (b blob) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.content)), nil
}
func (b blob) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }
func (b blob) Size() (int64, error)                 { return int64(len(b.content)), nil }

func (b blob) MediaType() (types.MediaType, error) { return types.DockerConfigJSON, nil }
