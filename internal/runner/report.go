package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// reporter writes the runner's reports into the spec of its request, by merge patches. A written report never
// changes; writing the same report again succeeds.
type reporter struct {
	client client.Client
	key    types.NamespacedName
}

// maxReportMessage is how many characters the API accepts.
const maxReportMessage = 1024

func (r reporter) build(ctx context.Context, report v1alpha1.BuildReport) error {
	report.Message = shorten(report.Message)
	return r.patch(ctx, "build", report)
}

func (r reporter) buildFailed(ctx context.Context, took time.Duration, message string) error {
	return r.build(ctx, v1alpha1.BuildReport{
		Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(wholeSeconds(took)), Message: message,
	})
}

func (r reporter) pull(ctx context.Context, outcome v1alpha1.PullOutcome, took time.Duration, message string) error {
	return r.patch(ctx, "pull", v1alpha1.PullReport{
		Outcome: outcome, DurationSeconds: ptr.To(wholeSeconds(took)), Message: shorten(message),
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

// shorten cuts a message to the API's limit, and puts it on one line.
func shorten(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	characters := []rune(message)
	if len(characters) <= maxReportMessage {
		return message
	}
	return string(characters[:maxReportMessage-1]) + "…"
}
