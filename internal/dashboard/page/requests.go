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

// sharing returns the requests of the same hash and project as one, that is not finished: who builds and who waits.
func (p *Pages) sharing(request *v1alpha1.DevcontainerImage) (others []*record.Request) {
	const most = 50
	if request.Spec.ProjectRef == nil || request.Status.ConfigHash == "" {
		return nil
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
	return others
}
