package page

import (
	"net/http"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/record"
)

// requestsBody lists the requests, the newest first.
type requestsBody struct {
	Live int
	List excerpt[*record.Request]
}

func (p *Pages) requests(v *visit) error {
	scope, err := p.scope(v, access.Requests)
	if err != nil {
		return err
	}
	f := filterOf(v.URL.Query())
	var body requestsBody
	var shown []*record.Request
	for _, request := range p.Store.Requests.List() {
		if !scope.Includes(request.Namespace) {
			continue
		}
		body.Live += count(request.IsLive())
		if picks(f.Pick, request) &&
			f.matches(request.Environment, request.Project, request.Name, request.Hash, request.Namespace) {
			shown = append(shown, request)
		}
	}
	body.List = cut(shown, f)
	body.List.Placeholder, body.List.What = "environment, project or hash", "requests"
	body.List.Choices = []choice{
		{"", "all"}, {"live", "not finished"}, {"hit", "hits"}, {"miss", "misses"}, {"bypassed", "bypassed"},
	}
	p.render(v, http.StatusOK, "requests", frame{
		Title: "Why did this environment wait?", Active: "requests", Live: "requests", Body: body,
	})
	return nil
}

// picks reports whether a request belongs to a choice of the list.
func picks(pick string, request *record.Request) bool {
	switch pick {
	case "live":
		return request.IsLive()
	case "hit":
		return request.Result == v1alpha1.CacheHit
	case "miss":
		return request.Result == v1alpha1.CacheMiss
	case "bypassed":
		return request.Result == v1alpha1.CacheBypassed
	}
	return true
}

// sharing returns the requests of the same hash and project as one, who builds and who waits, as far as the viewer may
// read them.
func (p *Pages) sharing(v *visit, request *v1alpha1.DevcontainerImage) (others []*record.Request, err error) {
	const most = 50
	if request.Spec.ProjectRef == nil || request.Status.ConfigHash == "" {
		return nil, nil
	}
	window := request.CreationTimestamp.Add(-24 * time.Hour)
	for _, other := range p.Store.Requests.List() {
		if other.Created.Before(window) || len(others) >= most {
			break
		}
		if other.Hash == request.Status.ConfigHash && other.Namespace == request.Namespace &&
			other.Project == request.Spec.ProjectRef.Name && other.Name != request.Name && other.Role != "" {
			others = append(others, other)
		}
	}
	return p.readable(v, request.Namespace, others)
}

// readable returns the requests of a namespace that the viewer may read: all with the right to list them, else those
// that it may get by name.
func (p *Pages) readable(v *visit, namespace string, requests []*record.Request) ([]*record.Request, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	all, err := v.viewer.May(v.Context(), listRequests(namespace))
	if err != nil || all {
		return requests, err
	}
	var kept []*record.Request
	for _, request := range requests {
		may, err := v.viewer.May(v.Context(), getRight(access.Requests, namespace, request.Name))
		if err != nil {
			return nil, err
		}
		if may {
			kept = append(kept, request)
		}
	}
	return kept, nil
}

func listRequests(namespace string) access.Right {
	return access.Right{Verb: "list", Resource: access.Requests, Namespace: namespace}
}
