package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/message"
)

// reporter writes the runner's reports into the spec of its request, by merge patches. A written report never
// changes; writing the same report again succeeds.
type reporter struct {
	client client.Client
	key    types.NamespacedName
}

func (r reporter) build(ctx context.Context, report v1alpha1.BuildReport) error {
	report.Message = message.Line(report.Message, v1alpha1.MaxMessage)
	return r.patch(ctx, "build", report)
}

func (r reporter) buildFailed(ctx context.Context, took time.Duration, message string) error {
	return r.build(ctx, v1alpha1.BuildReport{
		Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(wholeSeconds(took)), Message: message,
	})
}

func (r reporter) pull(ctx context.Context, outcome v1alpha1.PullOutcome, took time.Duration, text string) error {
	return r.patch(ctx, "pull", v1alpha1.PullReport{
		Outcome: outcome, DurationSeconds: ptr.To(wholeSeconds(took)), Message: message.Line(text, v1alpha1.MaxMessage),
	})
}

func (r reporter) uploaded(ctx context.Context, attempt int32) error {
	return r.patch(ctx, "uploadAttempt", attempt)
}

func (r reporter) patch(ctx context.Context, field string, value any) error {
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

// lastWords returns a context for reports that are written after ctx has ended.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}
