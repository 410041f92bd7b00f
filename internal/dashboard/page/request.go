package page

import (
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/record"
	"imagecache.dev/internal/dashboard/timeline"
	"imagecache.dev/internal/display"
	"imagecache.dev/internal/hash"
)

// requestBody tells why one environment waited.
type requestBody struct {
	Request *v1alpha1.DevcontainerImage
	Answer  string
	Advice  string
	Steps   []bar
	// Longest is the step that took half of the time or more, nil if none did.
	Longest *bar
	Total   string
	Live    bool
	Others  []*record.Request
	Nearest *catalog.Image
	Changes []change
}

// bar is a step with its place in the drawing, in percent of the whole time.
type bar struct {
	timeline.Step
	Start, Width float64
	Lasted       string
}

// change is one input that differs from that of the nearest image.
type change struct{ What, Input, Before, After string }

func (p *Pages) request(v *visit) error {
	key := types.NamespacedName{Namespace: v.PathValue("namespace"), Name: v.PathValue("name")}
	if err := p.mayRead(v, access.Requests, key.Namespace, key.Name); err != nil {
		return err
	}
	request := &v1alpha1.DevcontainerImage{}
	if err := v.viewer.Client().Get(v.Context(), key, request); cluster.IsAbsent(err) {
		return &absentError{"no request " + key.Name + " exists in namespace " + key.Namespace}
	} else if err != nil {
		return err
	}
	body := requestBody{
		Request: request, Answer: answerOf(request),
		Advice: catalog.AdviceFor(request), Live: request.Status.FinishedAt.IsZero(),
	}
	var err error
	if body.Others, err = p.sharing(v, request); err != nil {
		return err
	}
	steps := timeline.Of(request, v.now)
	body.Steps = bars(steps)
	body.Longest = longest(body.Steps)
	took := int64(whole(steps).Seconds())
	body.Total = display.Seconds(&took)
	if request.Status.CacheResult == v1alpha1.CacheMiss {
		if body.Nearest, body.Changes, err = nearest(v, request); err != nil {
			return err
		}
	}
	live := ""
	if body.Live || len(steps) > 0 && steps[len(steps)-1].State == timeline.Running {
		live = "requests"
	}
	p.render(v, http.StatusOK, "request", frame{
		Title: "Why did " + request.Spec.EnvironmentID + " wait?", Active: "requests", Live: live, Body: body,
	})
	return nil
}

// nearest finds the image that a miss differs least from, among those that the cluster's requests describe; nil for a
// viewer who may not list them.
func nearest(v *visit, request *v1alpha1.DevcontainerImage) (*catalog.Image, []change, error) {
	const most = 500
	if request.Spec.ProjectRef == nil || len(request.Spec.Inputs) == 0 {
		return nil, nil, nil
	}
	if may, err := v.viewer.May(v.Context(), listRequests(request.Namespace)); err != nil || !may {
		return nil, nil, err
	}
	others := &v1alpha1.DevcontainerImageList{}
	if err := v.viewer.Client().List(v.Context(), others, client.InNamespace(request.Namespace), client.Limit(most),
		client.MatchingFields{"spec.projectRef.name": request.Spec.ProjectRef.Name}); err != nil {
		return nil, nil, err
	}
	earlier := others.Items[:0]
	for _, other := range others.Items {
		if other.CreationTimestamp.Before(&request.CreationTimestamp) {
			earlier = append(earlier, other)
		}
	}
	images := catalog.Images(earlier, nil, 0)
	image, differences := catalog.Nearest(
		images, request.Status.ConfigHash, request.Spec.Platform, catalog.Inputs(request.Spec.Inputs),
	)
	return image, changesOf(differences), nil
}

func changesOf(differences []hash.Difference) []change {
	changes := make([]change, 0, len(differences))
	for _, difference := range differences {
		found := change{What: "changed", Input: difference.Name, Before: "–", After: "–"}
		if difference.Before != nil {
			found.Before = short(difference.Before.Digest)
		} else {
			found.What = "added"
		}
		if difference.After != nil {
			found.After = short(difference.After.Digest)
		} else {
			found.What = "removed"
		}
		changes = append(changes, found)
	}
	return changes
}

// answerOf tells the answer to somebody who has not heard of hits and misses.
func answerOf(request *v1alpha1.DevcontainerImage) string {
	switch request.Status.CacheResult {
	case v1alpha1.CacheHit:
		return "Hit: the image was in the cache."
	case v1alpha1.CacheBypassed:
		return "Bypassed: the cache was not used."
	case v1alpha1.CacheMiss:
	default:
		return "The manager has not answered yet."
	}
	switch request.Status.Role {
	case v1alpha1.RoleBuilder:
		return "Miss: the image was not in the cache, and this environment builds it for all."
	case v1alpha1.RoleWaiter:
		return "Miss: the image was not in the cache, and another environment builds it."
	}
	return "Miss: the image was not in the cache, and this environment builds for itself."
}

// longest returns the step that took at least half of the whole time, or nil.
func longest(steps []bar) *bar {
	for i := range steps {
		if steps[i].Took() >= time.Second && steps[i].Width >= 50 {
			return &steps[i]
		}
	}
	return nil
}

// thinnest is the width of a step that took no time, so that it is seen.
const thinnest = 0.5

// bars places steps along the whole time.
func bars(steps []timeline.Step) []bar {
	all := whole(steps).Seconds()
	placed := make([]bar, 0, len(steps))
	for _, step := range steps {
		took := int64(step.Took().Seconds())
		b := bar{Step: step, Lasted: display.Seconds(&took)}
		if all > 0 {
			b.Start = 100 * step.From.Sub(steps[0].From).Seconds() / all
			b.Width = 100 * step.Took().Seconds() / all
		}
		b.Width = max(b.Width, thinnest)
		b.Start = min(b.Start, 100-b.Width)
		placed = append(placed, b)
	}
	return placed
}

func whole(steps []timeline.Step) time.Duration {
	if len(steps) == 0 {
		return 0
	}
	end := steps[0].To
	for _, step := range steps {
		if step.To.After(end) {
			end = step.To
		}
	}
	return max(0, end.Sub(steps[0].From))
}
