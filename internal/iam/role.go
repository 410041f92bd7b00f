// Package iam maintains the two roles of a runner that credentials come from.
package iam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sessionpolicy"
)

// policyName is the name of a role's only inline policy.
const policyName = "imagecache"

// ErrExists reports that a role of this name exists, although it was not visible a moment ago. Observe it again.
var ErrExists = errors.New("the role exists already")

// Role is the desired or the observed state of a role.
type Role struct {
	Name        string
	ARN         string // only of an observed role
	Trust       string
	Policy      string
	BoundaryARN string
	Tags        map[string]string
	// Former are the keys of a desired role's tags that were set earlier, and are removed if they are no longer desired.
	// Tags of others stay.
	Former []string
}

// Plan is what to do with a role. The zero value means nothing.
type Plan struct {
	Create      bool
	SetTrust    bool
	PutPolicy   bool
	PutBoundary bool
	// DropBoundary removes a boundary that is no longer desired.
	DropBoundary bool
	Tag          map[string]string
	Untag        []string
}

// Empty reports whether nothing is to be done.
func (p Plan) Empty() bool {
	return !p.Create && !p.SetTrust && !p.PutPolicy && !p.PutBoundary && !p.DropBoundary && len(p.Tag) == 0 &&
		len(p.Untag) == 0
}

// PlanRole compares the desired with the observed state; seen is nil if the role does not exist.
func PlanRole(desired Role, seen *Role) Plan {
	if seen == nil {
		return Plan{Create: true, PutPolicy: true}
	}
	plan := Plan{
		SetTrust:     !sessionpolicy.Equal(desired.Trust, seen.Trust),
		PutPolicy:    !sessionpolicy.Equal(desired.Policy, seen.Policy),
		PutBoundary:  desired.BoundaryARN != "" && desired.BoundaryARN != seen.BoundaryARN,
		DropBoundary: desired.BoundaryARN == "" && seen.BoundaryARN != "",
	}
	for key, value := range desired.Tags {
		if have, ok := seen.Tags[key]; !ok || have != value {
			if plan.Tag == nil {
				plan.Tag = map[string]string{}
			}
			plan.Tag[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(seen.Tags)) {
		if _, ok := desired.Tags[key]; !ok && slices.Contains(desired.Former, key) {
			plan.Untag = append(plan.Untag, key)
		}
	}
	return plan
}

// Roles creates, changes and deletes roles of one account.
type Roles struct{ api *awsiam.Client }

// NewRoles returns the Roles of a target.
func NewRoles(clients *aws.Clients) *Roles { return &Roles{api: clients.IAM} }

// Observe reads a role in two calls. It returns nil without an error if the role does not exist.
func (r *Roles) Observe(ctx context.Context, name string) (*Role, error) {
	out, err := r.api.GetRole(ctx, &awsiam.GetRoleInput{RoleName: &name})
	if aws.ClassOf(err) == aws.ClassNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get role %s: %w", name, err)
	}
	if out.Role == nil {
		return nil, fmt.Errorf("get role %s: AWS returned no role", name)
	}
	found := &Role{Name: name, ARN: awssdk.ToString(out.Role.Arn), Tags: map[string]string{}}
	found.Trust = decoded(out.Role.AssumeRolePolicyDocument)
	if out.Role.PermissionsBoundary != nil {
		found.BoundaryARN = awssdk.ToString(out.Role.PermissionsBoundary.PermissionsBoundaryArn)
	}
	for _, tag := range out.Role.Tags {
		found.Tags[awssdk.ToString(tag.Key)] = awssdk.ToString(tag.Value)
	}
	policy, err := r.api.GetRolePolicy(
		ctx, &awsiam.GetRolePolicyInput{RoleName: &name, PolicyName: awssdk.String(policyName)},
	)
	switch {
	case aws.ClassOf(err) == aws.ClassNotFound:
	case err != nil:
		return nil, fmt.Errorf("get the policy of role %s: %w", name, err)
	default:
		found.Policy = decoded(policy.PolicyDocument)
	}
	return found, nil
}

// Apply carries out a plan. It continues after a failed step and returns all errors, so that one missing permission
// does not hold up the other steps. It can be repeated.
func (r *Roles) Apply(ctx context.Context, desired Role, plan Plan) error {
	if plan.Create {
		if err := r.create(ctx, desired); err != nil {
			return err
		}
	}
	var failed []error
	step := func(wanted bool, what string, do func() error) {
		if !wanted {
			return
		}
		if err := do(); err != nil {
			failed = append(failed, fmt.Errorf("%s of role %s: %w", what, desired.Name, err))
		}
	}
	name := &desired.Name
	step(plan.SetTrust, "set the trust policy", func() error {
		_, err := r.api.UpdateAssumeRolePolicy(
			ctx, &awsiam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: &desired.Trust},
		)
		return err
	})
	step(plan.PutBoundary, "set the permissions boundary", func() error {
		_, err := r.api.PutRolePermissionsBoundary(
			ctx, &awsiam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: &desired.BoundaryARN},
		)
		return err
	})
	step(plan.DropBoundary, "remove the permissions boundary", func() error {
		_, err := r.api.DeleteRolePermissionsBoundary(ctx, &awsiam.DeleteRolePermissionsBoundaryInput{RoleName: name})
		return err
	})
	step(plan.PutPolicy, "put the policy", func() error {
		_, err := r.api.PutRolePolicy(
			ctx,
			&awsiam.PutRolePolicyInput{RoleName: name, PolicyName: awssdk.String(policyName), PolicyDocument: &desired.Policy},
		)
		return err
	})
	step(len(plan.Tag) > 0, "set tags", func() error {
		_, err := r.api.TagRole(ctx, &awsiam.TagRoleInput{RoleName: name, Tags: tagList(plan.Tag)})
		return err
	})
	step(len(plan.Untag) > 0, "remove tags", func() error {
		_, err := r.api.UntagRole(ctx, &awsiam.UntagRoleInput{RoleName: name, TagKeys: plan.Untag})
		return err
	})
	return errors.Join(failed...)
}

func (r *Roles) create(ctx context.Context, desired Role) error {
	input := &awsiam.CreateRoleInput{
		RoleName:                 &desired.Name,
		AssumeRolePolicyDocument: &desired.Trust,
		Description:              awssdk.String("Credentials of imagecache.dev for one runner's cached images"),
		Tags:                     tagList(desired.Tags),
	}
	if desired.BoundaryARN != "" {
		input.PermissionsBoundary = &desired.BoundaryARN
	}
	_, err := r.api.CreateRole(ctx, input)
	var exists *types.EntityAlreadyExistsException
	if errors.As(err, &exists) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("create role %s: %w", desired.Name, err)
	}
	return nil
}

// revocationName is the name of the inline policy that revokes a role's sessions:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
const revocationName = "AWSRevokeOlderSessions"

// InUseError reports that a role can't be deleted, because others attached something to it. The cache's own policies
// are removed from it: its sessions have no right of the cache any more.
type InUseError struct {
	Role string
	err  error
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("role %s can't be deleted, because others attached something to it: %s", e.Role, aws.Message(e.err))
}

func (e *InUseError) Unwrap() error { return e.err }

// Delete deletes a role, its policy, and a revocation of its sessions. It succeeds for those that do not exist, and
// returns *InUseError if others attached policies or an instance profile. Check first who owns the role.
func (r *Roles) Delete(ctx context.Context, name string) error {
	for _, policy := range []string{policyName, revocationName} {
		_, err := r.api.DeleteRolePolicy(
			ctx, &awsiam.DeleteRolePolicyInput{RoleName: &name, PolicyName: awssdk.String(policy)},
		)
		if err != nil && aws.ClassOf(err) != aws.ClassNotFound {
			return fmt.Errorf("delete the policy %s of role %s: %w", policy, name, err)
		}
	}
	_, err := r.api.DeleteRole(ctx, &awsiam.DeleteRoleInput{RoleName: &name})
	if aws.Code(err) == "DeleteConflict" {
		return &InUseError{Role: name, err: err}
	}
	if err != nil && aws.ClassOf(err) != aws.ClassNotFound {
		return fmt.Errorf("delete role %s: %w", name, err)
	}
	return nil
}

// decoded decodes a policy document as IAM returns it: percent-encoded JSON.
func decoded(document *string) string {
	text := awssdk.ToString(document)
	if plain, err := url.PathUnescape(text); err == nil && strings.HasPrefix(text, "%") {
		return plain
	}
	return text
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: awssdk.String(key), Value: awssdk.String(tags[key])})
	}
	return list
}
