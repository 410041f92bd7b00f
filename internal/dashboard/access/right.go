// Package access answers what a viewer of the dashboard may see and do. The API server decides in the end; what is
// asked here makes the page say it before.
package access

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Resources of the rights that pages ask for.
const (
	Runners  = "runnerimagecaches"
	Projects = "projectimagecaches"
	Requests = "devcontainerimages"
	Secrets  = "secrets"
	Events   = "events"
)

// Right is a verb on a resource in a namespace, or in all if Namespace is empty.
type Right struct{ Verb, Resource, Namespace, Name string }

// Group returns the API group of the right's resource.
func (r Right) Group() string {
	switch r.Resource {
	case Secrets:
		return ""
	case Events:
		return "events.k8s.io"
	}
	return "imagecache.dev"
}

// String returns the right as Kubernetes writes it, such as "patch projectimagecaches.imagecache.dev in namespace web".
func (r Right) String() string {
	text := r.Verb + " " + r.Resource
	if group := r.Group(); group != "" {
		text += "." + group
	}
	if r.Namespace == "" {
		return text + " in all namespaces"
	}
	return text + " in namespace " + r.Namespace
}

// Viewer is who looks at a page.
type Viewer interface {
	// Name is the user's name in the cluster, or "" if it is not known.
	Name() string
	// May reports whether the viewer has a right. The answer may be 10 s old.
	May(ctx context.Context, right Right) (bool, error)
	// Client acts as the viewer: each call needs the viewer's own rights.
	Client() client.Client
	// Events reads events as the viewer.
	Events() EventReader
}

// answersFor is how long an answer of the API server is kept, as its own components do for tokens.
const answersFor = 10 * time.Second

// maxAnswers bounds the answers that are kept.
const maxAnswers = 16 << 10

type answer struct {
	allowed bool
	at      time.Time
}

// answers keeps answers about rights, for a while, up to a number of them.
type answers[K comparable] struct {
	mu    sync.Mutex
	known map[K]answer
}

// get returns the answer to a question, and asks if none is known.
func (a *answers[K]) get(key K, ask func() (bool, error)) (bool, error) {
	a.mu.Lock()
	found, ok := a.known[key]
	a.mu.Unlock()
	if ok && time.Since(found.at) < answersFor {
		return found.allowed, nil
	}
	allowed, err := ask()
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAnswers {
		a.known = map[K]answer{}
	}
	a.known[key] = answer{allowed, time.Now()}
	return allowed, nil
}
