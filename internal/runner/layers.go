package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
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
	// lost ends when the registry does not hand out a layer, with the reason as its cause, and at the end.
	lost context.Context
	lose context.CancelCauseFunc
}

// layersSecretPatience is how long to wait for the Secret with pull credentials, which the controller creates at a
// project's first request.
const layersSecretPatience = 10 * time.Second

// layersPatience is how long to wait until the registry has told of the image. A build without it begins sooner.
const layersPatience = 10 * time.Second

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
			p.buildsEveryStep(err)
		}
		return nil
	}
	return lent
}

// buildsEveryStep tells why no layers are taken over.
func (p *preparation) buildsEveryStep(why error) {
	p.notice(
		"every step is built, because the layers of a similar image are not available: " + message.Redact(why.Error()),
	)
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
	lent, err := p.lendFrom(ctx, image, registry, layersPatience)
	if err != nil {
		return nil, err
	}
	if err := trusted.of(offered.ConfigHash).check(lent.relay.Manifest(), image.DigestStr()); err != nil {
		lent.end()
		return nil, err
	}
	return lent, nil
}

// lendFrom makes an image available, whose registry takes a login and has to tell of the image within a time.
func (p *preparation) lendFrom(
	ctx context.Context, image name.Digest, registry authn.Authenticator, patience time.Duration,
) (*lentLayers, error) {
	l := &lentLayers{}
	l.lost, l.lose = context.WithCancelCause(ctx)
	late := time.AfterFunc(patience, func() {
		l.lose(fmt.Errorf("the registry did not answer within %s", span(patience)))
	})
	err := l.start(image, registry, relay.Client{WithoutZstd: !builder.TakesZstd(p.engine)})
	if late.Stop(); err != nil {
		err = causeOr(l.lost, err)
		l.lose(nil)
		return nil, err
	}
	return l, nil
}

// start starts the relay, which ends when a layer is lost: the others are of no use then.
func (l *lentLayers) start(image name.Digest, registry authn.Authenticator, client relay.Client) (err error) {
	if l.relay, err = relay.Start(l.lost, image, registry, client, relay.Watch{Failed: l.lose}); err != nil {
		return err
	}
	login, err := l.relay.DockerConfig()
	if err == nil {
		l.folder, err = dockerconfig.Private(login, true)
	}
	if err != nil {
		return errors.Join(err, l.relay.Close())
	}
	return nil
}

func (p *preparation) layersSecret(ctx context.Context, secretName string) (content []byte, err error) {
	waitErr := wait.PollUntilContextTimeout(ctx, time.Second/4, layersSecretPatience, true,
		func(ctx context.Context) (bool, error) {
			content, err = cluster.CredentialSecret(ctx, p.runner.Client, p.runner.Namespace, secretName)
			return err == nil || !apierrors.IsNotFound(err), nil
		})
	return content, errors.Join(err, waitErr)
}

// buildWith runs the builder, and ends what was lent. A build whose layers get lost is ended, and begun again without
// any: BuildKit fails, or tries for more than a minute to get them.
func (p *preparation) buildWith(
	ctx context.Context, lent *lentLayers, request builder.Request,
) (*builder.Result, error) {
	if lent == nil {
		return p.engine.Build(ctx, request)
	}
	built, err := lent.build(ctx, p.engine, request)
	lost := context.Cause(lent.lost)
	lent.end()
	if err == nil || lost == nil || ctx.Err() != nil {
		return built, err
	}
	p.buildsEveryStep(lost)
	return p.engine.Build(ctx, request)
}

// build runs the builder with the layers, until one is lost.
func (l *lentLayers) build(
	ctx context.Context, engine builder.Engine, request builder.Request,
) (*builder.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.lost, cancel)()
	request.LayersFrom, request.DockerConfigDir = l.relay.Reference(), l.folder.Path
	return engine.Build(ctx, request)
}

func (l *lentLayers) end() {
	l.lose(nil)
	_ = l.relay.Close()
	_ = l.folder.Remove()
}
