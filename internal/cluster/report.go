package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/message"
)

// Reporter writes the runner's reports into the spec of its request, by merge patches. A written report never changes;
// writing the same report again succeeds. Messages are cut to the length that the API takes.
type Reporter struct {
	client client.Client
	key    types.NamespacedName
}

// NewReporter returns a Reporter for the request that key names.
func NewReporter(c client.Client, key types.NamespacedName) *Reporter {
	return &Reporter{client: c, key: key}
}

// Build reports how the build ended.
func (r *Reporter) Build(ctx context.Context, report v1alpha1.BuildReport) error {
	report.Message = message.Line(report.Message, v1alpha1.MaxMessage)
	return r.patch(ctx, "build", report)
}

// Pull reports how the pull ended.
func (r *Reporter) Pull(ctx context.Context, report v1alpha1.PullReport) error {
	report.Message = message.Line(report.Message, v1alpha1.MaxMessage)
	return r.patch(ctx, "pull", report)
}

// Uploaded reports that all blobs of an attempt are uploaded. The first attempt is 1.
func (r *Reporter) Uploaded(ctx context.Context, attempt int32) error {
	return r.patch(ctx, "uploadAttempt", attempt)
}

func (r *Reporter) patch(ctx context.Context, field string, value any) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{field: value}})
	if err != nil {
		return fmt.Errorf("report %s: %w", field, err)
	}
	object := &v1alpha1.DevcontainerImage{}
	object.Namespace, object.Name = r.key.Namespace, r.key.Name
	err = persist(ctx, func(ctx context.Context) error {
		return r.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
	})
	if err != nil {
		return fmt.Errorf("report %s: %w", field, err)
	}
	return nil
}
