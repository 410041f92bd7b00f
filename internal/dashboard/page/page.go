// Package page renders the pages of the dashboard, each of which answers one question. It reads the cluster's objects
// from the store, asks what the viewer may see and do, and changes objects with the viewer's own rights.
//
//	working   Is it working?
//	savings   What does it save?
//	requests  Why did this environment wait?
//	images    What is in there?
//	toggle    Turn it on and off
package page

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/asset"
	"imagecache.dev/internal/dashboard/gate"
	"imagecache.dev/internal/dashboard/savings"
	"imagecache.dev/internal/dashboard/store"
)

// Options of the pages.
type Options struct {
	Store *store.Store
	// Namespace is the one that the store reads, "" for all.
	Namespace string
	// Base is the path of the pages, with a slash at its end.
	Base string
	// ReadOnly leaves out whatever changes something.
	ReadOnly bool
	// AWS lists images in ECR with this process's own credentials; else images are those of the cluster's requests.
	AWS bool
	// Days reads days from Prometheus; nil without one.
	Days func(ctx context.Context, days int, namespaces []string, now time.Time) ([]savings.Day, error)
	// Sessions: viewers log in and out.
	Sessions bool
	Now      func() time.Time
}

// Pages serves the pages.
type Pages struct {
	Options
	images *listings
}

// New returns the handler of all pages, below "/". Each request needs a viewer (gate.WithViewer).
func New(options Options) *Pages {
	return &Pages{Options: options, images: newListings()}
}

// Handler returns the handler of all pages.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /asset/{version}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		asset.Serve(w, r, r.PathValue("name"))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.Base+"working", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /events", p.events)
	for pattern, serve := range map[string]func(*visit) error{
		"GET /working":                                    p.working,
		"GET /savings":                                    p.savings,
		"GET /requests":                                   p.requests,
		"GET /requests/{namespace}/{name}":                p.request,
		"GET /images":                                     p.projects,
		"GET /images/{namespace}/{project}":               p.imagesOf,
		"GET /images/{namespace}/{project}/invalidate":    p.confirmInvalidation,
		"POST /images/{namespace}/{project}/invalidate":   p.invalidate,
		"GET /images/{namespace}/{project}/{hash}":        p.image,
		"GET /images/{namespace}/{project}/{hash}/evict":  p.confirmEviction,
		"POST /images/{namespace}/{project}/{hash}/evict": p.evict,
		"GET /images/{namespace}/{project}/{hash}/renew":  p.renewal,
		"GET /toggle":                                     p.toggles,
		"GET /toggle/{namespace}/{name}":                  p.confirmToggle,
		"POST /toggle/{namespace}/{name}":                 p.toggle,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, serve) })
	}
	return mux
}

// visit is one request for a page, with what every page needs.
type visit struct {
	*http.Request
	w      http.ResponseWriter
	viewer access.Viewer
	now    time.Time
	// since are the versions of the store before the page read it.
	since string
}

func (p *Pages) serve(w http.ResponseWriter, r *http.Request, serve func(*visit) error) {
	viewer := gate.ViewerOf(r.Context())
	if viewer == nil {
		http.Error(w, "Log in first.", http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	v := &visit{Request: r, w: w, viewer: viewer, now: p.Now(), since: p.since()}
	if err := serve(v); err != nil {
		p.fail(v, err)
	}
}

// scope returns the namespaces in which the viewer may read a resource.
func (p *Pages) scope(v *visit, resource string) (access.Scope, error) {
	return access.ScopeOf(v.Context(), v.viewer, resource, p.namespaces())
}

// scopes returns the namespaces in which the viewer may read each of some resources. It asks about all at once.
func (p *Pages) scopes(v *visit, resources ...string) ([]access.Scope, error) {
	found := make([]access.Scope, len(resources))
	var group errgroup.Group
	for i, resource := range resources {
		group.Go(func() (err error) {
			found[i], err = p.scope(v, resource)
			return err
		})
	}
	return found, group.Wait()
}

// namespaces returns those that the store reads and that have something.
func (p *Pages) namespaces() []string {
	if p.Namespace != "" {
		return []string{p.Namespace}
	}
	return p.Store.Namespaces()
}
