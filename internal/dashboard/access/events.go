package access

import (
	"context"
	"fmt"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// EventReader reads the events of a namespace.
type EventReader interface {
	// ByReason returns up to 100 events of a reason.
	ByReason(ctx context.Context, namespace, reason string) ([]eventsv1.Event, error)
}

type eventReader struct{ calls *calls }

func (r eventReader) ByReason(ctx context.Context, namespace, reason string) ([]eventsv1.Event, error) {
	const most = 100
	list, err := r.calls.events.Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("reason", reason).String(), Limit: most,
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list.Items, nil
}
