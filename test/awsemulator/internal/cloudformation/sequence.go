package cloudformation

import (
	"fmt"
	"slices"
	"strings"
)

// dependencies are the resources that a resource names, by DependsOn or by a reference, each once.
func (t *template) dependencies(id string, decide branch) []string {
	r := t.resources[id]
	var out []string
	add := func(name string) {
		if _, ok := t.resources[name]; ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, other := range r.dependsOn {
		add(other)
	}
	// Templates are checked before: check has returned what walk could.
	_ = t.walk(r.properties, decide, func(ref reference) { add(ref.name) })
	return out
}

// certain are the dependencies that hold whatever the conditions: between resources without one, outside of single branches of Fn::If.
func (t *template) certain(id string) []string {
	if t.resources[id].condition != "" {
		return nil
	}
	ifTrue := t.dependencies(id, func(string) (yes, known bool) { return true, true })
	ifFalse := t.dependencies(id, func(string) (yes, known bool) { return false, true })
	return slices.DeleteFunc(ifTrue, func(other string) bool {
		return !slices.Contains(ifFalse, other) || t.resources[other].condition != ""
	})
}

// sequence orders all resources so that each comes after those that it needs, otherwise as they are written.
func (t *template) sequence(needs func(id string) []string) ([]string, error) {
	var order, path []string
	done := map[string]bool{}
	var visit func(id string) error
	visit = func(id string) error {
		if i := slices.Index(path, id); i >= 0 {
			return fmt.Errorf("Circular dependency between resources: [%s]", strings.Join(path[i:], ", "))
		}
		if done[id] {
			return nil
		}
		path = append(path, id)
		for _, other := range needs(id) {
			if err := visit(other); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[id] = true
		order = append(order, id)
		return nil
	}
	for _, id := range t.order {
		if err := visit(id); err != nil {
			return nil, err
		}
	}
	return order, nil
}
