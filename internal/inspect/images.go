// Package inspect reads what is needed to show a project's cache and to diagnose it: from the cluster, from AWS with
// the user's own credentials, and from the registry with the project's pull credentials.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/publication"
)

// awsTimeout limits the calls to AWS. Without credentials, the SDK searches for some for a while.
const awsTimeout = 15 * time.Second

// Images returns a project's images. If AWS can't be called, it returns the images of the cluster's requests, and
// notice tells why.
func Images(
	ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache, clusterOnly bool,
) (images []catalog.Image, notice string, err error) {
	requests := &v1alpha1.DevcontainerImageList{}
	if err := c.List(
		ctx, requests, client.InNamespace(project.Namespace), client.MatchingFields{"spec.projectRef.name": project.Name},
	); err != nil {
		return nil, "", fmt.Errorf("list requests: %w", err)
	}
	retention := project.Spec.Retention()
	if clusterOnly {
		return catalog.Images(requests.Items, nil, retention), "", nil
	}
	stored, err := storedImages(ctx, c, project)
	if err != nil {
		return catalog.Images(requests.Items, nil, retention),
			fmt.Sprintf(
				"can't read the images from AWS (%s); showing only the images of requests that the cluster still has",
				aws.Message(err),
			), nil
	}
	if project.Spec.ExpireUnusedAfterDays == nil { // else a look at the list would be use of every image in it
		readOrigins(ctx, c, project, stored, catalog.Images(requests.Items, stored, retention))
	}
	return catalog.Images(requests.Items, stored, retention), "", nil
}

// storedImages lists the images in ECR.
func storedImages(ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache) ([]catalog.Stored, error) {
	if project.Status.Repository == nil {
		return []catalog.Stored{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, awsTimeout)
	defer cancel()
	clients, err := awsClients(ctx, c, project)
	if err != nil {
		return nil, err
	}
	found, err := ecr.NewImages(clients, clock.RealClock{}, lru.NewBudget(0)).List(ctx, project.Status.Repository.Name)
	if err != nil {
		return nil, err
	}
	stored := make([]catalog.Stored, 0, len(found))
	for _, image := range found {
		stored = append(stored, catalog.Stored{
			Digest: image.Digest, Tags: image.Tags, PushedAt: image.PushedAt, SizeBytes: image.SizeBytes,
			Archived: image.Archived, LastPulledAt: image.LastPulledAt, Findings: image.Findings,
		})
	}
	return stored, nil
}

// awsClients returns clients with the user's own credentials, in the region of a project's runner.
func awsClients(ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache) (*aws.Clients, error) {
	cache := &v1alpha1.RunnerImageCache{}
	if err := c.Get(
		ctx, types.NamespacedName{Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name}, cache,
	); err != nil {
		return nil, fmt.Errorf("get runner: %w", err)
	}
	provider, err := aws.NewProvider(ctx, aws.Options{UserAgent: "imagecache"})
	if err != nil {
		return nil, err
	}
	return provider.Clients(aws.Target{Region: cache.Spec.Region}), nil
}

// readOrigins reads, with the project's pull credentials, the origins of images that no request describes. Origins
// that can't be read stay unknown.
func readOrigins(
	ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache, stored []catalog.Stored,
	known []catalog.Image,
) {
	const atOnce = 8
	unknown := map[string]bool{}
	for _, image := range known {
		if image.Environment == "" && !image.Archived {
			unknown[image.Digest] = true
		}
	}
	if len(unknown) == 0 {
		return
	}
	repository, auth, err := pullAccess(ctx, c, project)
	if err != nil {
		return
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range stored {
		if !unknown[stored[i].Digest] {
			continue
		}
		group.Go(func() error {
			stored[i].Origin = originOf(ctx, repository, auth, stored[i].Digest)
			return nil
		})
	}
	_ = group.Wait()
}

// originOf reads an image's origin from its manifest, or, if that has no inputs, from the labels of its
// configuration.
func originOf(
	ctx context.Context, repository name.Repository, auth authn.Authenticator, digest string,
) publication.Origin {
	image, err := remote.Image(repository.Digest(digest), remote.WithContext(ctx), remote.WithAuth(auth))
	if err != nil {
		return publication.Origin{}
	}
	if manifest, err := image.RawManifest(); err == nil {
		if origin := publication.OriginIn(manifest); len(origin.Inputs) > 0 {
			return origin
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return publication.Origin{}
	}
	origin := publication.OriginOf(config.Config.Labels)
	origin.Inputs = nil // as a label, a Dockerfile may have written them
	return origin
}

// errNoPullCredentials: the project has no pull credentials now.
var errNoPullCredentials = errors.New(
	"the project has no pull credentials: the controller creates them when an environment asks for an image",
)

// pullAccess returns a project's repository and the login to pull from it.
func pullAccess(
	ctx context.Context, c client.Reader, project *v1alpha1.ProjectImageCache,
) (name.Repository, authn.Authenticator, error) {
	if project.Status.PullCredentials == nil || project.Status.Repository == nil {
		return name.Repository{}, nil, errNoPullCredentials
	}
	repository, err := name.NewRepository(project.Status.Repository.URI)
	if err != nil {
		return name.Repository{}, nil, fmt.Errorf("read repository: %w", err)
	}
	secret, err := cluster.CredentialSecret(ctx, c, project.Namespace, project.Status.PullCredentials.SecretName)
	if err != nil {
		return name.Repository{}, nil, err
	}
	auth, err := dockerconfig.Authenticator(secret, repository.RegistryStr())
	return repository, auth, err
}
