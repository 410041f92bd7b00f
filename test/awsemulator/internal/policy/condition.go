package policy

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Condition is one operator with one key and its values.
type Condition struct {
	Operator string // as written, StringLikeIfExists, ForAllValues:StringEquals…
	Key      string // as written
	Values   []string

	key      string
	set      setOperator
	ifExists bool
	op       operator
	values   patterns
}

type setOperator uint8

const (
	single setOperator = iota
	forAny
	forAll
)

func parseConditions(raw json.RawMessage, variables bool) ([]Condition, error) {
	var operators map[string]map[string]json.RawMessage
	if err := json.Unmarshal(raw, &operators); err != nil || operators == nil {
		return nil, fmt.Errorf("a condition is operator, key and values")
	}
	var out []Condition
	for name, keys := range operators {
		for key, value := range keys {
			values, err := scalarList(value)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", name, key, err)
			}
			c := Condition{Operator: name, Key: key, Values: values, key: strings.ToLower(key)}
			if err := c.compile(variables); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Operator != out[j].Operator {
			return out[i].Operator < out[j].Operator
		}
		return out[i].Key < out[j].Key
	})
	return out, nil
}

func (c *Condition) compile(variables bool) error {
	name := c.Operator
	if set, rest, ok := strings.Cut(name, ":"); ok {
		switch strings.ToLower(set) {
		case "foranyvalue":
			c.set = forAny
		case "forallvalues":
			c.set = forAll
		default:
			return fmt.Errorf("invalid condition type: %s", c.Operator)
		}
		name = rest
	}
	lower := strings.ToLower(name)
	if base, ok := strings.CutSuffix(lower, "ifexists"); ok {
		c.ifExists = true
		lower = base
	}
	op, ok := operators[lower]
	if !ok || (lower == "null" && (c.ifExists || c.set != single)) {
		return fmt.Errorf("invalid condition type: %s", c.Operator)
	}
	if c.key == "" {
		return fmt.Errorf("%s: a condition without key", c.Operator)
	}
	c.op = op
	for _, v := range c.Values {
		p := compilePattern(v, variables, op.wildcards)
		if op.check != nil && !p.hasVariable() {
			if err := op.check(v); err != nil {
				err = fmt.Errorf("%s %s: %w", c.Operator, c.Key, err)
				if strings.HasPrefix(lower, "date") {
					return legacy(err.Error())
				}
				return err
			}
		}
		c.values = append(c.values, p)
	}
	return nil
}

func (p pattern) hasVariable() bool {
	for _, x := range p {
		if x.kind == variable {
			return true
		}
	}
	return false
}

// holds decides one condition. Several values of the policy are alternatives; for a negated operator none of them may match.
// A key that the request lacks fails a plain operator and satisfies a negated one.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
func (c *Condition) holds(ctx Context) bool {
	have := ctx[c.key]
	if c.op.null {
		for _, v := range c.Values {
			if strings.EqualFold(v, "true") == (len(have) == 0) {
				return true
			}
		}
		return false
	}
	if len(have) == 0 {
		switch {
		case c.ifExists, c.set == forAll:
			return true
		case c.set == forAny:
			return false
		}
		return c.op.negated
	}
	switch c.set {
	case forAll:
		for _, v := range have {
			if !c.valueHolds(v, ctx) {
				return false
			}
		}
		return true
	case forAny:
		for _, v := range have {
			if c.valueHolds(v, ctx) {
				return true
			}
		}
		return false
	}
	// A key of many values without a set operator: a plain operator wants one match, a negated one none.
	for _, v := range have {
		if c.valueHolds(v, ctx) != c.op.negated {
			return !c.op.negated
		}
	}
	return c.op.negated
}

func (c *Condition) valueHolds(value string, ctx Context) bool {
	for _, p := range c.values {
		resolved, ok := p.resolve(ctx)
		if ok && c.op.match(resolved, value) {
			return !c.op.negated
		}
	}
	return c.op.negated
}
