package page

import (
	"fmt"
	"net/http"
	"time"

	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/gate"
)

// Times of the stream of events. A browser hears of changes once a second at most, however many there are, and of
// nothing for so long that no proxy takes the stream for dead.
const (
	eventsEvery = time.Second
	quietFor    = 25 * time.Second
	streamFor   = 5 * time.Minute
)

// events tells a browser, by server-sent events, which kinds have changed. The page then asks for what it shows, with
// the rights that its viewer has then. It tells nothing of a kind of which the viewer may list none. The stream ends
// after streamFor: a token that has ended opens no other.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) {
	viewer := gate.ViewerOf(r.Context())
	if viewer == nil {
		http.Error(w, "Log in first.", http.StatusUnauthorized)
		return
	}
	v := &visit{Request: r, viewer: viewer}
	controller := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	changed, cancel := p.Store.Subscribe()
	defer cancel()
	objects, requests := versionsIn(r.URL.Query().Get("since"))
	first := make(chan struct{}, 1) // what changed since the page was made, before it listened
	first <- struct{}{}
	end, quiet := time.After(streamFor), time.NewTicker(quietFor)
	defer quiet.Stop()
	send := func(text string) bool {
		_, err := fmt.Fprint(w, text)
		return err == nil && controller.Flush() == nil
	}
	if !send(": open\n\n") {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-end:
			return // the browser opens another one
		case <-quiet.C:
			if !send(": still here\n\n") {
				return
			}
		case <-first:
		case <-changed:
			// Lists may be as old as the pause: what the browser asks for after it has the change.
			select {
			case <-r.Context().Done():
				return
			case <-time.After(eventsEvery):
			}
		}
		if !p.news(v, send, &objects, &requests) {
			return
		}
	}
}

// news sends the names of what has changed since two versions, and renews these. It reports whether the stream goes on:
// the browser listens, and the viewer's rights are known.
func (p *Pages) news(v *visit, send func(string) bool, objects, requests *uint64) bool {
	nowObjects, nowRequests := p.versions()
	for _, kind := range []struct {
		event     string
		changed   bool
		resources []string
	}{
		{"objects", nowObjects != *objects, []string{access.Runners, access.Projects}},
		{"requests", nowRequests != *requests, []string{access.Requests}},
	} {
		if !kind.changed {
			continue
		}
		may, err := p.mayListSome(v, kind.resources)
		if err != nil || may && !send("event: "+kind.event+"\ndata: changed\n\n") {
			return false
		}
	}
	*objects, *requests = nowObjects, nowRequests
	return true
}

// mayListSome reports whether the viewer may list one of some resources, in any namespace.
func (p *Pages) mayListSome(v *visit, resources []string) (bool, error) {
	for _, resource := range resources {
		scope, err := p.scope(v, resource)
		if err != nil || !scope.IsEmpty() {
			return err == nil, err
		}
	}
	return false, nil
}

func (p *Pages) versions() (objects, requests uint64) {
	return p.Store.Runners.Version() + p.Store.Projects.Version(), p.Store.Requests.Version()
}

// since returns the versions of what a page shows, for the address of its stream.
func (p *Pages) since() string {
	return fmt.Sprintf("%d-%d", p.Store.Runners.Listed()+p.Store.Projects.Listed(), p.Store.Requests.Listed())
}

// versionsIn reads what since returned. A text that is nothing of that kind reads as an old page.
func versionsIn(since string) (objects, requests uint64) {
	_, _ = fmt.Sscanf(since, "%d-%d", &objects, &requests)
	return objects, requests
}
