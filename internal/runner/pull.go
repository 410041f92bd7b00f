package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/registrylogin"
)

// pull pulls the cached image into the engine's store under the request's name, and reports the result. If the image is
// gone, it asks the cache once more. If the pull fails otherwise, the environment builds.
func (p *preparation) pull(ctx context.Context, image *v1alpha1.DevcontainerImage) (*Result, error) {
	text := "Pulling " + image.Status.Image.Reference
	if engine, ok := p.store.(EngineStore); ok {
		text += " with " + engine.Engine.Name()
	}
	step := p.steps.start("Pull", text)
	began := time.Now()
	got, err := p.pullImage(ctx, image, step)
	took := time.Since(began)
	if interrupted(ctx) {
		step.failed("interrupted")
		p.lastReport(ctx, func(ctx context.Context) error {
			return p.report.Pull(ctx, pullReport(v1alpha1.PullFailed, took, "interrupted"))
		})
		return nil, context.Cause(ctx)
	}
	if err != nil {
		step.failed(err.Error())
		p.tell(ctx, p.report.Pull(ctx, pullReport(v1alpha1.PullFailed, took, err.Error())))
		if isGone(err) && !p.askedAgain {
			// A refresh replaced the image after the answer. The environment gets the new one by another request.
			p.askedAgain = true
			return p.askAndCarryOut(ctx)
		}
		reason, problem := v1alpha1.ReasonPullFailed, "can't pull the cached image, so the image is built here: "
		if untrusted := (*untrustedError)(nil); errors.As(err, &untrusted) {
			reason, problem = v1alpha1.ReasonNotVerified, "the cached image is not trusted, so the image is built here: "
		}
		p.notice(problem + err.Error())
		return p.buildOnly(ctx, OutcomeBuilt, reason+": "+err.Error())
	}
	step.finished(got.text(image.Status.Image.SizeBytes))
	built := int64(0)
	if image.Status.Image.BuildSeconds != nil {
		built = *image.Status.Image.BuildSeconds
	}
	p.result.Outcome = OutcomeHit
	p.result.Image = p.store.shown(p.localName)
	p.result.Reference = image.Status.Image.Reference
	p.result.Reason = image.Status.Reason
	p.result.SignedBy = got.trust.signedBy
	p.result.SavedSeconds = wholeSeconds(time.Duration(built)*time.Second - took)
	p.result.Seconds.Pull = seconds(took)
	p.steps.events.Emit(Event{Kind: EventSaved, Text: savedLine(built, took)})
	p.usable("")
	p.tell(ctx, p.report.Pull(ctx, pullReport(v1alpha1.PullSucceeded, took, "")))
	return p.result, nil
}

// isGone reports whether a registry answered that an image does not exist.
func isGone(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound
}

// pull is one transfer of an image from the cache.
type pull struct {
	reference, name string
	secret          []byte             // a Docker configuration with our credentials
	read            registrylogin.Read // what replaced secret; nil if nothing does
	trust           *trust             // nil trusts every image
	output          io.Writer
	progress        func(done, total int64)
	extracting      func(done, total int64) // instead of progress, while the engine takes no bytes

	login *registrylogin.Login // of source
	// done of total bytes came from the registry. Both are zero if that is unknown.
	done, total int64
}

// source returns the image in its registry, with the login to it.
func (p *pull) source() (name.Digest, *registrylogin.Login, error) {
	digest, err := name.NewDigest(p.reference)
	if err != nil {
		return digest, nil, fmt.Errorf("pull image: %w", err)
	}
	if p.login == nil {
		if p.login, err = registrylogin.New(digest.Context().RegistryStr(), p.secret, p.read); err != nil {
			return digest, nil, err
		}
	}
	return digest, p.login, nil
}

// fromRegistry returns the image as its registry has it.
func (p *pull) fromRegistry(ctx context.Context) (v1.Image, error) {
	digest, login, err := p.source()
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(
		digest, remote.WithContext(ctx), remote.WithAuth(login),
		remote.WithTransport(registrylogin.Through(login, remote.DefaultTransport)),
	)
	if err != nil {
		return nil, fmt.Errorf("pull image: %w", err)
	}
	return image, nil
}

// text describes what was pulled. sizeBytes is the image's size according to the cache, if known.
func (p *pull) text(sizeBytes *int64) string {
	switch {
	case p.total > 0 && p.done < p.total:
		return fmt.Sprintf("Pulled %s of %s, the rest existed here", megabytes(p.done), megabytes(p.total))
	case p.total > 0:
		return "Pulled " + megabytes(p.total)
	case sizeBytes != nil:
		return "Pulled " + megabytes(*sizeBytes)
	}
	return "Pulled"
}

func (p *preparation) pullImage(ctx context.Context, image *v1alpha1.DevcontainerImage, step *running) (*pull, error) {
	var secret []byte
	var trusted *trust
	// The manager replaces the password in the Secret before it ends. A pull may take longer than it lasts.
	read := func(ctx context.Context) ([]byte, error) {
		return cluster.CredentialSecret(ctx, p.runner.Client, image.Namespace, image.Status.PullCredentials.SecretName)
	}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		secret, err = read(both)
		return err
	})
	group.Go(func() (err error) {
		trusted, err = p.readTrust(both)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	output := &outputLines{events: p.steps.events, step: step.name}
	defer output.flush()
	got := &pull{
		reference: image.Status.Image.Reference, name: p.localName, secret: secret, read: read, trust: trusted,
		output: output, progress: step.progress, extracting: step.extracting,
	}
	return got, p.store.pull(ctx, got)
}
