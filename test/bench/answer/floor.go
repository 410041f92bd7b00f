package answer

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// startFloor answers requests as fast as anything could: one watch, one AWS call, one status patch of the same size,
// without a cache, a queue or a decision.
func startFloor(ctx context.Context, w *world.World, namespace, repository string, like *v1alpha1.DevcontainerImage) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	registry := ecr.New(ecr.Options{
		Region: w.AWS.Region(), BaseEndpoint: ptr.To(w.AWS.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(w.AWS.AccessKeyID(), w.AWS.SecretAccessKey(), ""),
	})
	patch, err := json.Marshal(map[string]any{"status": like.Status})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("write patch: %w", err)
	}
	events, err := follow(ctx, w, namespace)
	if err != nil {
		cancel()
		return nil, err
	}
	var working sync.WaitGroup
	working.Go(func() {
		for event := range events.ResultChan() {
			request, ok := event.Object.(*v1alpha1.DevcontainerImage)
			if !ok || event.Type != watch.Added {
				continue
			}
			working.Go(func() {
				_, err := registry.BatchGetImage(ctx, &ecr.BatchGetImageInput{
					RepositoryName: &repository,
					ImageIds:       []ecrtypes.ImageIdentifier{{ImageTag: &request.Spec.ConfigHash}},
				})
				if err == nil {
					_ = w.Client.Status().Patch(ctx, request, client.RawPatch(types.MergePatchType, patch)) // a lost one shows as a time-out
				}
			})
		}
	})
	return func() {
		events.Stop()
		cancel()
		working.Wait()
	}, nil
}
