package answer

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// bare answers requests as fast as anything could: one watch, one AWS call, one status patch of the same size, without a
// cache, a queue or a decision.
type bare struct {
	world      *world.World
	registry   *ecr.Client
	repository string
	patch      []byte
	cancel     context.CancelFunc
	working    errgroup.Group
}

func startFloor(ctx context.Context, w *world.World, namespace, repository string, like *v1alpha1.DevcontainerImage) (*bare, error) {
	patch, err := json.Marshal(map[string]any{"status": like.Status})
	if err != nil {
		return nil, fmt.Errorf("write patch: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &bare{
		world: w, repository: repository, patch: patch, cancel: cancel,
		registry: ecr.New(ecr.Options{
			Region: w.AWS.Region(), BaseEndpoint: ptr.To(w.AWS.URL()),
			Credentials: credentials.NewStaticCredentialsProvider(w.AWS.AccessKeyID(), w.AWS.SecretAccessKey(), ""),
		}),
	}
	err = follow(ctx, w, namespace, func(event watch.EventType, request *v1alpha1.DevcontainerImage) {
		if event == watch.Added {
			b.working.Go(func() error { return b.answer(ctx, request) })
		}
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return b, nil
}

func (b *bare) answer(ctx context.Context, request *v1alpha1.DevcontainerImage) error {
	_, err := b.registry.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &b.repository,
		ImageIds:       []ecrtypes.ImageIdentifier{{ImageTag: &request.Spec.ConfigHash}},
	})
	if err == nil {
		err = b.world.Client.Status().Patch(ctx, request, client.RawPatch(types.MergePatchType, b.patch))
	}
	if err != nil {
		return fmt.Errorf("answer %s without a controller: %w", request.Name, err)
	}
	return nil
}

// stop ends the floor once all requests are answered, and returns the first answer that it could not give.
func (b *bare) stop() error {
	defer b.cancel()
	return b.working.Wait()
}
