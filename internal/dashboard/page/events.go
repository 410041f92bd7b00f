package page

import (
	"fmt"
	"net/http"
	"time"

	"imagecache.dev/internal/dashboard/gate"
)

// Times of the stream of events. A browser hears of changes once a second at most, however many there are, and of
// nothing for so long that no proxy takes the stream for dead.
const (
	eventsEvery = time.Second
	quietFor    = 25 * time.Second
	streamFor   = 30 * time.Minute
)

// events tells a browser, by server-sent events, which kinds have changed. The page then asks for what it shows, with the
// rights that its viewer has then.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) {
	if gate.ViewerOf(r.Context()) == nil {
		http.Error(w, "Log in first.", http.StatusUnauthorized)
		return
	}
	controller := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	changed, cancel := p.Store.Subscribe()
	defer cancel()
	objects, requests := p.versions()
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
			return // the browser opens another one, with a token that may have ended
		case <-quiet.C:
			if !send(": still here\n\n") {
				return
			}
		case <-changed:
			nowObjects, nowRequests := p.versions()
			if nowObjects != objects && !send("event: objects\ndata: changed\n\n") {
				return
			}
			if nowRequests != requests && !send("event: requests\ndata: changed\n\n") {
				return
			}
			objects, requests = nowObjects, nowRequests
			select {
			case <-r.Context().Done():
				return
			case <-time.After(eventsEvery):
			}
		}
	}
}

func (p *Pages) versions() (objects, requests uint64) {
	return p.Store.Runners.Version() + p.Store.Projects.Version(), p.Store.Requests.Version()
}
