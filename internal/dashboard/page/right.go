package page

import (
	"fmt"

	"imagecache.dev/internal/dashboard/access"
)

// ability is whether the viewer may do something, for a button that is grey otherwise.
type ability struct {
	Allowed bool
	// Lacks tells why not: the right that is missing, or --read-only.
	Lacks string
}

// may asks for a right that changes something.
func (p *Pages) may(v *visit, right access.Right) (ability, error) {
	if p.ReadOnly {
		return ability{Lacks: "the dashboard runs with --read-only"}, nil
	}
	allowed, err := v.viewer.May(v.Context(), right)
	if err != nil || allowed {
		return ability{Allowed: allowed}, err
	}
	return ability{Lacks: "you may not " + right.String()}, nil
}

// demand returns an error unless the viewer may change something.
func (p *Pages) demand(v *visit, right access.Right) error {
	able, err := p.may(v, right)
	if err != nil {
		return err
	}
	if !able.Allowed {
		return &refusedError{able.Lacks}
	}
	return nil
}

// mayRead returns an error unless the viewer may read one object.
func (p *Pages) mayRead(v *visit, resource, namespace, name string) error {
	return insist(v, getRight(resource, namespace, name))
}

func getRight(resource, namespace, name string) access.Right {
	return access.Right{Verb: "get", Resource: resource, Namespace: namespace, Name: name}
}

// insist returns an error unless the viewer has a right.
func insist(v *visit, right access.Right) error {
	allowed, err := v.viewer.May(v.Context(), right)
	if err != nil {
		return err
	}
	if !allowed {
		return &refusedError{fmt.Sprintf("you may not %s", right)}
	}
	return nil
}
