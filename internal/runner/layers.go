package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/registrylogin"
	"imagecache.dev/internal/relay"
	"imagecache.dev/internal/tempfolder"
)

// lentLayers lets a build take layers over from a cached image, until end.
type lentLayers struct {
	relay  *relay.Relay
	folder *tempfolder.Folder
}

// layersSecretPatience is how long to wait for the Secret with pull credentials, which the controller creates at a
// project's first request.
const layersSecretPatience = 10 * time.Second

// borrow makes the image that the cache offers available to the build, through a relay. It returns nil where nothing is
// offered, or the engine can't take layers over. A failure costs only time, so it is a notice.
func (p *preparation) borrow(ctx context.Context) *lentLayers {
	offered := p.layersFrom
	taker, can := p.engine.(builder.LayerTaker)
	// A build of Docker Compose's services takes nothing over.
	if offered == nil || p.subject.service != nil || !can || p.refreshes() || !taker.TakesLayers(ctx) {
		return nil
	}
	lent, err := p.lend(ctx, offered)
	if err != nil {
		if !interrupted(ctx) {
			why := message.Redact(err.Error())
			p.notice("every step is built, because the layers of a similar image are not available: " + why)
		}
		return nil
	}
	return lent
}

func (p *preparation) lend(ctx context.Context, offered *v1alpha1.LayerSource) (*lentLayers, error) {
	image, err := name.NewDigest(offered.Reference)
	if err != nil {
		return nil, fmt.Errorf("read reference: %w", err)
	}
	trusted, err := p.readTrust(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := p.layersSecret(ctx, offered.SecretName)
	if err != nil {
		return nil, err
	}
	// A build may need a layer when the password of its start has ended.
	read := func(ctx context.Context) ([]byte, error) {
		return cluster.CredentialSecret(ctx, p.runner.Client, p.runner.Namespace, offered.SecretName)
	}
	registry, err := registrylogin.New(image.Context().RegistryStr(), secret, read)
	if err != nil {
		return nil, err
	}
	through, err := relay.Start(ctx, image, registry, relay.Client{}, relay.Watch{})
	if err != nil {
		return nil, err
	}
	var login []byte
	if err = trusted.of(offered.ConfigHash).check(through.Manifest(), image.DigestStr()); err == nil {
		login, err = through.DockerConfig()
	}
	if err == nil {
		var folder *tempfolder.Folder
		if folder, err = dockerconfig.Private(login, true); err == nil {
			return &lentLayers{through, folder}, nil
		}
	}
	return nil, errors.Join(err, through.Close())
}

func (p *preparation) layersSecret(ctx context.Context, secretName string) (content []byte, err error) {
	waitErr := wait.PollUntilContextTimeout(ctx, time.Second/4, layersSecretPatience, true,
		func(ctx context.Context) (bool, error) {
			content, err = cluster.CredentialSecret(ctx, p.runner.Client, p.runner.Namespace, secretName)
			return err == nil || !apierrors.IsNotFound(err), nil
		})
	return content, errors.Join(err, waitErr)
}

// request adds the image to a build's request.
func (l *lentLayers) request(r *builder.Request) {
	if l != nil {
		r.LayersFrom, r.DockerConfigDir = l.relay.Reference(), l.folder.Path
	}
}

func (l *lentLayers) end() {
	if l != nil {
		_ = l.relay.Close()
		_ = l.folder.Remove()
	}
}
