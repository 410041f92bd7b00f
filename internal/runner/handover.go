package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/tempfolder"
)

// Publication is what another process needs to publish an image that was built here. It holds no credential.
type Publication struct {
	// Namespace, Request and UID name the DevcontainerImage.
	Namespace string    `json:"namespace"`
	Request   string    `json:"request"`
	UID       types.UID `json:"uid"`

	Project     string                    `json:"project"`
	Environment string                    `json:"environment"`
	Hash        string                    `json:"hash"`
	HashVersion int                       `json:"hashVersion"`
	Platform    string                    `json:"platform"`
	Coverage    v1alpha1.BuildKeyCoverage `json:"coverage"`
	Layers      v1alpha1.LayerCompression `json:"layers,omitempty"`

	// Engine is the name of the engine that built the image. Image is the image's name for the environment, ImageID its ID
	// in the engine's store, and KeptName a name that keeps it there until it is published.
	Engine   string `json:"engine"`
	Image    string `json:"image"`
	ImageID  string `json:"imageID"`
	KeptName string `json:"keptName"`
	// Took is how long the build took, and CachedSteps how many of its steps came from the engine's layer cache. Timeout
	// is how long publishing may take.
	Took        time.Duration `json:"took"`
	CachedSteps int           `json:"cachedSteps,omitempty"`
	Timeout     time.Duration `json:"timeout"`
}

// key names the DevcontainerImage.
func (p Publication) key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Request}
}

// keptName returns the name that keeps the image of a request in its store. A later build takes the image's own name.
func keptName(request string) string { return "imagecache.local/publication:" + request }

// handOver gives the publication to another process, if the runner has one, and reports whether that process has it.
// The files were confirmed before: what the developer changes from now on is not in the image, and not in its hash.
func (p *preparation) handOver(ctx context.Context, image *v1alpha1.DevcontainerImage, took time.Duration) bool {
	if p.runner.HandOver == nil {
		return false
	}
	publication := Publication{
		Namespace: image.Namespace, Request: image.Name, UID: image.UID,
		Project: p.result.Project, Environment: p.request.Environment,
		Hash: p.subject.key.Hash, HashVersion: p.subject.key.Version, Platform: p.subject.key.Platform, Coverage: p.coverage,
		Layers: p.layers,
		Engine: p.engine.Name(), Image: p.localName, ImageID: p.imageID, KeptName: keptName(image.Name),
		Took: took, CachedSteps: p.cachedSteps, Timeout: p.request.PublishTimeout,
	}
	name, err := p.keepAndHandOver(ctx, publication)
	if err == nil {
		p.result.Publication = name
		return true
	}
	if !interrupted(ctx) {
		p.notice("publishing here and not in the background: " + err.Error())
	}
	return false
}

func (p *preparation) keepAndHandOver(ctx context.Context, publication Publication) (name string, err error) {
	if publication.ImageID == "" {
		return "", errors.New("the engine does not tell the image's ID")
	}
	if err := p.engine.Tag(ctx, publication.ImageID, publication.KeptName); err != nil {
		return "", err
	}
	name, err = p.runner.HandOver(ctx, publication)
	if err != nil {
		p.tell(ctx, letGo(ctx, p.engine, publication.KeptName))
	}
	return name, err
}

// letGo removes the name that kept an image, even if ctx has ended.
func letGo(ctx context.Context, engine builder.Engine, keptName string) error {
	ctx, cancel := lastWords(ctx)
	defer cancel()
	return engine.Remove(ctx, keptName)
}

// LetGo removes the name that kept the image of a publication whose process was killed.
func (r *Runner) LetGo(ctx context.Context, keptName string) error {
	engine, err := r.FindEngine(ctx)
	if err != nil {
		return err
	}
	return letGo(ctx, engine, keptName)
}

// Publish publishes an image that another process built and hands over. hold is called when this process renews the
// build's Lease, so that the other one may stop; nothing was written before, and Publish gives up if hold returns an
// error. The result is Published, or the error is why not. ErrInterrupted is the cause of a context that ended.
func (r *Runner) Publish(ctx context.Context, publication Publication, hold func() error) (*Result, error) {
	tempfolder.RemoveAbandoned()
	p := r.publishing(publication)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.removeSaved()
	if err := p.publishHandedOver(ctx, publication, hold); err != nil {
		return nil, causeOr(ctx, err)
	}
	p.result.Outcome = OutcomePublished
	p.result.Seconds.Publish = seconds(time.Since(p.began))
	p.result.Seconds.Total = p.result.Seconds.Publish
	return p.result, nil
}

// publishing returns the preparation of which a publication is the rest.
func (r *Runner) publishing(publication Publication) *preparation {
	return &preparation{
		basis: &basis{
			runner: r, began: time.Now(), layers: publication.Layers,
			request: &Request{
				Environment: publication.Environment, Project: publication.Project, PublishTimeout: publication.Timeout,
			},
		},
		steps: steps{r.Events}, took: publication.Took,
		result: &Result{
			Image: publication.Image, Hash: publication.Hash, Platform: publication.Platform, Project: publication.Project,
			Environment: publication.Environment, Request: publication.Request, Namespace: publication.Namespace,
		},
		subject: subject{
			key: &hash.Key{Hash: publication.Hash, Version: publication.HashVersion, Platform: publication.Platform},
		},
		// The image's own name may be that of a later build.
		localName: publication.Image, imageID: publication.ImageID, cachedSteps: publication.CachedSteps,
		coverage: publication.Coverage,
		report:   cluster.NewReporter(r.Client, publication.key()),
	}
}

func (p *preparation) publishHandedOver(ctx context.Context, publication Publication, hold func() error) error {
	image, lease, err := p.takeOver(ctx, publication)
	if err != nil {
		return err
	}
	defer lease.Stop()
	// Also where hold fails: the other process was killed then, and nobody else removes the name.
	defer func() { p.tell(ctx, letGo(ctx, p.engine, publication.KeptName)) }()
	if err := hold(); err != nil {
		p.reportFailure(ctx, publication.Took, err)
		return err
	}
	p.watch = cluster.Follow(ctx, p.runner.Client, image)
	ctx, cancel := p.withPublishTimeout(ctx)
	defer cancel()
	return p.send(ctx, image, lease, publication.Took)
}

// takeOver finds the engine and the request, and begins to renew the build's Lease. The other process may still renew
// it, too: both are the same holder.
func (p *preparation) takeOver(
	ctx context.Context, publication Publication,
) (*v1alpha1.DevcontainerImage, *cluster.Lease, error) {
	var err error
	if p.engine, err = p.runner.FindEngine(ctx); err != nil {
		return nil, nil, err
	}
	image, err := cluster.Get(ctx, p.runner.Client, publication.key())
	if err != nil {
		return nil, nil, fmt.Errorf("get request %s: %w", publication.Request, cluster.Describe(err))
	}
	if image.UID != publication.UID || image.Status.Builder == nil {
		return nil, nil, fmt.Errorf("request %s was replaced", publication.Request)
	}
	lease := cluster.Renew(ctx, p.runner.Client, image)
	if err := lease.Confirm(ctx); err != nil {
		lease.Stop()
		return nil, nil, err
	}
	return image, lease, nil
}
