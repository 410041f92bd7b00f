package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// pseudoParameters are what Ref and Fn::Sub know without a declaration.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
var pseudoParameters = []string{
	"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// unresolved collects the names that a block of a template refers to in vain.
type unresolved struct {
	block string // Resources or Outputs
	names []string
}

func (u *unresolved) add(name string) {
	if !slices.Contains(u.names, name) {
		u.names = append(u.names, name)
	}
}

func (u *unresolved) err() error {
	if len(u.names) == 0 {
		return nil
	}
	return fmt.Errorf("Template format error: Unresolved resource dependencies [%s] in the %s block of the template", strings.Join(u.names, ", "), u.block)
}

// check refuses a template that no values of its parameters make right: references to nothing, attributes that a resource does not
// have, conditions that are not defined, and resources that depend on each other whatever the conditions.
func (t *template) check() error {
	if err := t.checkConditions(); err != nil {
		return err
	}
	missing := &unresolved{block: "Resources"}
	for _, id := range t.order {
		r := t.resources[id]
		if err := t.defined(r.condition, "Resources"); err != nil {
			return err
		}
		for _, other := range r.dependsOn {
			if _, ok := t.resources[other]; !ok {
				missing.add(other)
			}
		}
		if err := t.resolve(r.properties, missing); err != nil {
			return err
		}
	}
	if err := missing.err(); err != nil {
		return err
	}
	missing = &unresolved{block: "Outputs"}
	for _, name := range t.outputOrder {
		o := t.outputs[name]
		if err := t.defined(o.condition, "Outputs"); err != nil {
			return err
		}
		if err := t.resolve([]any{o.value, o.export}, missing); err != nil {
			return err
		}
	}
	if err := missing.err(); err != nil {
		return err
	}
	_, err := t.sequence(t.certain)
	return err
}

func (t *template) defined(condition, block string) error {
	if _, ok := t.conditions[condition]; !ok && condition != "" {
		return fmt.Errorf("Template format error: Unresolved condition dependency %s in the %s block of the template", condition, block)
	}
	return nil
}

// checkConditions: conditions read parameters and mappings alone.
func (t *template) checkConditions() error {
	var names []string
	for _, name := range sortedKeys(t.conditions) {
		err := t.walk(t.conditions[name], bothBranches, func(r reference) {
			if _, ok := t.parameters[r.name]; !ok && !slices.Contains(pseudoParameters, r.name) && !slices.Contains(names, r.name) {
				names = append(names, r.name)
			}
		})
		if err != nil {
			return err
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("Template format error: Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", strings.Join(names, ", "))
	}
	return nil
}

// resolve finds out whether everything that v refers to is declared, in branches that are not taken too.
func (t *template) resolve(v any, missing *unresolved) error {
	var wrong error
	err := t.walk(v, bothBranches, func(r reference) {
		if err := t.declared(r, missing); err != nil && wrong == nil {
			wrong = err
		}
	})
	if err != nil {
		return err
	}
	return wrong
}

func (t *template) declared(r reference, missing *unresolved) error {
	resource, isResource := t.resources[r.name]
	if r.function == "Ref" || (r.function == "Fn::Sub" && r.attribute == "") {
		_, isParameter := t.parameters[r.name]
		if !isResource && !isParameter && !slices.Contains(pseudoParameters, r.name) {
			missing.add(r.name)
		}
		return nil
	}
	switch {
	case !isResource && r.function == "Fn::Sub":
		return fmt.Errorf("Template error: instance of Fn::Sub references invalid resource attribute %s.%s", r.name, r.attribute)
	case !isResource:
		return fmt.Errorf("Template error: instance of Fn::GetAtt references undefined resource %s", r.name)
	case r.attribute == "" || slices.Contains(kinds[resource.kind].attributes, r.attribute):
		return nil
	case slices.Contains(kinds[resource.kind].otherAttributes, r.attribute):
		return apierror.NotEmulated("attribute " + r.attribute + " of " + resource.kind)
	}
	return fmt.Errorf("Template error: resource %s does not support attribute type %s in Fn::GetAtt", r.name, r.attribute)
}

// active tells which resources exist with the scope's parameters, in the order in which they can be made. A reference to one that does
// not exist is an error, except in a branch of Fn::If that is not taken; in DependsOn it is ignored.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/conditions-section-structure.html
func (s *scope) active() ([]string, error) {
	t := s.template
	exists := map[string]bool{}
	for id, r := range t.resources {
		yes, err := s.holds(r.condition)
		if err != nil {
			return nil, err
		}
		exists[id] = yes
	}
	missing := &unresolved{block: "Resources"}
	for _, id := range t.order {
		if exists[id] {
			if err := s.exist(t.resources[id].properties, exists, missing); err != nil {
				return nil, err
			}
		}
	}
	if err := missing.err(); err != nil {
		return nil, err
	}
	missing = &unresolved{block: "Outputs"}
	for _, name := range t.outputOrder {
		o := t.outputs[name]
		yes, err := s.holds(o.condition)
		if err != nil {
			return nil, err
		}
		if yes {
			if err := s.exist([]any{o.value, o.export}, exists, missing); err != nil {
				return nil, err
			}
		}
	}
	if err := missing.err(); err != nil {
		return nil, err
	}
	order, err := t.sequence(func(id string) []string { return s.needs(id, exists) })
	return slices.DeleteFunc(order, func(id string) bool { return !exists[id] }), err
}

// holds decides the condition of a resource or output; without one it holds.
func (s *scope) holds(condition string) (bool, error) {
	if condition == "" {
		return true, nil
	}
	return s.named(condition)
}

// taken decides the branches of Fn::If by the scope's parameters.
func (s *scope) taken(condition string) (yes, known bool) {
	yes, err := s.named(condition)
	return yes, err == nil
}

func (s *scope) exist(v any, exists map[string]bool, missing *unresolved) error {
	return s.template.walk(v, s.taken, func(r reference) {
		if there, isResource := exists[r.name]; isResource && !there {
			missing.add(r.name)
		}
	})
}

// needs are the resources that one resource waits for; nil for one that does not exist.
func (s *scope) needs(id string, exists map[string]bool) []string {
	if !exists[id] {
		return nil
	}
	return slices.DeleteFunc(s.template.dependencies(id, s.taken), func(other string) bool { return !exists[other] })
}
