package iam

import (
	"fmt"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
)

type contextEntry struct {
	ContextKeyName   string
	ContextKeyType   string
	ContextKeyValues []string
}

type simulateIn struct {
	PolicyInputList                    []string
	PermissionsBoundaryPolicyInputList []string
	ActionNames                        []string
	ResourceArns                       []string
	ResourcePolicy                     string
	ResourceOwner                      string
	CallerArn                          string
	ContextEntries                     []contextEntry
	Marker                             string
	MaxItems                           int `json:",string"`
}

type simulated struct {
	EvalActionName   string
	EvalResourceName string
	EvalDecision     string
}

type simulateOut struct {
	EvaluationResults []simulated `xml:"EvaluationResults>member"`
	IsTruncated       bool
}

// simulateCustomPolicy decides without asking who the caller is, from the policies of the request alone.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
func (d *Directory) simulateCustomPolicy(c *caller.Caller, in *simulateIn) (*simulateOut, error) {
	if err := d.authorize(c, "SimulateCustomPolicy", "*", nil, nil); err != nil {
		return nil, err
	}
	if len(in.PolicyInputList) == 0 || len(in.ActionNames) == 0 {
		return nil, validation("PolicyInputList and ActionNames must not be empty.")
	}
	var policies policy.Policies
	for _, text := range in.PolicyInputList {
		doc, err := parseInput(text)
		if err != nil {
			return nil, err
		}
		policies.Identity = append(policies.Identity, doc)
	}
	switch len(in.PermissionsBoundaryPolicyInputList) {
	case 0:
	case 1:
		doc, err := parseInput(in.PermissionsBoundaryPolicyInputList[0])
		if err != nil {
			return nil, err
		}
		policies.Boundary = doc
	default:
		return nil, validation("PermissionsBoundaryPolicyInputList takes one policy.")
	}
	who := policy.Caller{AccountID: d.settings.Account, ARN: in.CallerArn}
	if strings.Contains(in.CallerArn, ":role/") {
		who.RoleARN = in.CallerArn
	}
	if in.ResourcePolicy != "" {
		if in.CallerArn == "" {
			return nil, validation("CallerArn is required with ResourcePolicy.")
		}
		doc, err := policy.Parse(in.ResourcePolicy)
		if err != nil {
			return nil, malformed(err)
		}
		policies.Resource = doc
	}
	ctx := policy.Context{}
	for _, e := range in.ContextEntries {
		ctx.Set(e.ContextKeyName, e.ContextKeyValues...)
	}
	if len(in.ResourceArns) == 0 {
		in.ResourceArns = []string{"*"}
	}
	out := &simulateOut{}
	for _, action := range in.ActionNames {
		for _, resource := range in.ResourceArns {
			decision := policy.Evaluate(policy.Request{Caller: who, Action: action, Resource: resource, Context: ctx}, policies)
			word := "implicitDeny"
			switch {
			case decision.Allowed:
				word = "allowed"
			case decision.Explicit:
				word = "explicitDeny"
			}
			out.EvaluationResults = append(out.EvaluationResults, simulated{action, resource, word})
		}
	}
	return out, nil
}

func parseInput(text string) (*policy.Document, error) {
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateIdentity()
	}
	if err != nil {
		e := fmt.Errorf("invalid input policy: %w", err)
		return nil, validation("%s", sentence(e.Error()))
	}
	return doc, nil
}
