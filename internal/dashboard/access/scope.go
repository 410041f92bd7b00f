package access

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// askedAtOnce is how many namespaces are asked about at the same time: there may be thousands, and a person waits.
const askedAtOnce = 16

// Scope is the namespaces in which a viewer may read a resource.
type Scope struct {
	all   bool
	names map[string]bool
}

// Includes reports whether the scope has a namespace.
func (s Scope) Includes(namespace string) bool { return s.all || s.names[namespace] }

// IsEmpty reports whether the viewer may read nothing.
func (s Scope) IsEmpty() bool { return !s.all && len(s.names) == 0 }

// IsAll reports whether the scope has all namespaces.
func (s Scope) IsAll() bool { return s.all }

// ScopeOf returns the namespaces, of those that exist, in which a viewer may list a resource.
func ScopeOf(ctx context.Context, viewer Viewer, resource string, namespaces []string) (Scope, error) {
	all, err := viewer.May(ctx, Right{Verb: "list", Resource: resource})
	if err != nil || all {
		return Scope{all: all}, err
	}
	scope := Scope{names: map[string]bool{}}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askedAtOnce)
	for _, namespace := range namespaces {
		group.Go(func() error {
			may, err := viewer.May(ctx, Right{Verb: "list", Resource: resource, Namespace: namespace})
			if err != nil || !may {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			scope.names[namespace] = true
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Scope{}, err
	}
	return scope, nil
}
