package attachment

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/ecr"
)

const (
	// pace is the time between two attachments. ECR takes 10 images a second in an account and region, and
	// publications, which people wait for, need them first:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
	pace = 500 * time.Millisecond
	// patience is how long after the publication an attachment is tried.
	patience = time.Hour
	// maxQueue is how many attachments wait at most: those that pace allows within patience.
	maxQueue = int(patience / pace)
)

// wanted reports whether something may be attached to a request's image: the request published it, not longer ago than
// patience.
func wanted(image *v1alpha1.DevcontainerImage, now time.Time) bool {
	return indexes.HasPublished(image) && now.Sub(image.Status.FinishedAt.Time) < patience
}

// attachedBy reports whether one of an image's referrers is a statement that a key signed.
func attachedBy(referrers []ecr.Referrer, keyID string) bool {
	for _, referrer := range referrers {
		if referrer.ArtifactType == attestation.BundleType && referrer.Annotations[attestation.AnnotationKey] == keyID {
			return true
		}
	}
	return false
}

// queue gives each attachment a time of its own. It is safe for concurrent use.
type queue struct {
	mu    sync.Mutex
	last  time.Time
	times map[types.UID]time.Time
}

// wait returns how long a request's attachment has to wait, and whether the queue has room for it.
func (q *queue) wait(uid types.UID, now time.Time) (left time.Duration, room bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, queued := q.times[uid]
	if !queued {
		if len(q.times) >= maxQueue {
			// Requests that were removed meanwhile never leave by themselves.
			maps.DeleteFunc(q.times, func(_ types.UID, at time.Time) bool { return now.Sub(at) > patience })
		}
		if len(q.times) >= maxQueue {
			return 0, false
		}
		if at = q.last.Add(pace); at.Before(now) {
			at = now
		}
		if q.times == nil {
			q.times = map[types.UID]time.Time{}
		}
		q.times[uid], q.last = at, at
	}
	return max(at.Sub(now), 0), true
}

// leave removes a request's attachment from the queue.
func (q *queue) leave(uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.times, uid)
}
