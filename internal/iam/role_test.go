package iam

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func role(change ...func(*Role)) Role {
	r := Role{Name: "r", Trust: `{"a":1}`, Policy: `{"b":2}`, Tags: map[string]string{"owner": "o"}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestPlanRole(t *testing.T) {
	found := func(change ...func(*Role)) *Role { r := role(change...); return &r }
	for name, test := range map[string]struct {
		desired Role
		seen    *Role
		want    Plan
	}{
		"absent":              {role(), nil, Plan{Create: true, PutPolicy: true}},
		"as it should be":     {role(), found(), Plan{}},
		"written differently": {role(), found(func(r *Role) { r.Trust = "{ \"a\": 1 }" }), Plan{}},
		"trust":               {role(), found(func(r *Role) { r.Trust = `{"a":2}` }), Plan{SetTrust: true}},
		"policy":              {role(), found(func(r *Role) { r.Policy = "" }), Plan{PutPolicy: true}},
		"boundary missing":    {role(func(r *Role) { r.BoundaryARN = "b" }), found(), Plan{PutBoundary: true}},
		"boundary other":      {role(func(r *Role) { r.BoundaryARN = "b" }), found(func(r *Role) { r.BoundaryARN = "c" }), Plan{PutBoundary: true}},
		"boundary unwanted":   {role(), found(func(r *Role) { r.BoundaryARN = "c" }), Plan{DropBoundary: true}},
		"tags": {role(), found(func(r *Role) { r.Tags = map[string]string{"owner": "x", "stray": "1"} }),
			Plan{Tag: map[string]string{"owner": "o"}}},
		"a tag that is no longer wanted": {role(func(r *Role) { r.Former = []string{"gone", "left"} }),
			found(func(r *Role) { r.Tags = map[string]string{"owner": "o", "stray": "1", "left": "2"} }), Plan{Untag: []string{"left"}}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := PlanRole(test.desired, test.seen)
			if diff := cmp.Diff(test.want, plan); diff != "" {
				t.Errorf("the plan differs (-want +got):\n%s", diff)
			}
			if plan.Empty() != cmp.Equal(test.want, Plan{}) {
				t.Errorf("Empty = %v", plan.Empty())
			}
		})
	}
}

func TestPoliciesAreDecoded(t *testing.T) {
	for text, want := range map[string]string{
		"%7B%22a%22%3A1%7D": `{"a":1}`,
		`{"a":"50%"}`:       `{"a":"50%"}`,
		"%7B+%7D":           "{+}",
	} {
		if got := decoded(&text); got != want {
			t.Errorf("decoded(%q) = %q, want %q", text, got, want)
		}
	}
}
