package awsemulator_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

func iamTags(pairs ...string) (out []types.Tag) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
	}
	return out
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestCreateRoleValidates(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "taken", "")
	trust := accountTrust(s)
	for _, tc := range []struct {
		name, want string
		in         iam.CreateRoleInput
	}{
		{"name is taken", "EntityAlreadyExists", iam.CreateRoleInput{}},
		{"name is taken in another case", "EntityAlreadyExists", iam.CreateRoleInput{RoleName: aws.String("TAKEN")}},
		{"65 characters", "ValidationError", iam.CreateRoleInput{RoleName: aws.String(strings.Repeat("r", 65))}},
		{"slash in the name", "ValidationError", iam.CreateRoleInput{RoleName: aws.String("a/b")}},
		{"path without slashes", "ValidationError", iam.CreateRoleInput{RoleName: aws.String("new"), Path: aws.String("p")}},
		{"sessions of half an hour", "ValidationError", iam.CreateRoleInput{RoleName: aws.String("new"), MaxSessionDuration: aws.Int32(1800)}},
		{"broken trust", "MalformedPolicyDocument", iam.CreateRoleInput{RoleName: aws.String("new"), AssumeRolePolicyDocument: aws.String("{")}},
		{"trust in an unknown role", "MalformedPolicyDocument", iam.CreateRoleInput{RoleName: aws.String("new"), AssumeRolePolicyDocument: aws.String(strings.Replace(trust, ":root", ":role/none", 1))}},
		{"trust with a resource", "MalformedPolicyDocument", iam.CreateRoleInput{RoleName: aws.String("new"), AssumeRolePolicyDocument: aws.String(allow(`"sts:AssumeRole"`, "*"))}},
		{"trust that is too long", "LimitExceeded", iam.CreateRoleInput{RoleName: aws.String("new"), AssumeRolePolicyDocument: aws.String(strings.Replace(trust, `"Effect"`, `"Sid":"`+strings.Repeat("S", 2048)+`","Effect"`, 1))}},
		{"unknown boundary", "NoSuchEntity", iam.CreateRoleInput{RoleName: aws.String("new"), PermissionsBoundary: aws.String("arn:aws:iam::123456789012:policy/none")}},
		{"reserved tag", "InvalidInput", iam.CreateRoleInput{RoleName: aws.String("new"), Tags: iamTags("aws:x", "y")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.RoleName == nil {
				tc.in.RoleName = aws.String("taken")
			}
			if tc.in.AssumeRolePolicyDocument == nil {
				tc.in.AssumeRolePolicyDocument = &trust
			}
			_, err := c.iam.CreateRole(ctx, &tc.in)
			wantCode(t, err, tc.want)
		})
	}
}

func TestRoleKeepsWhatIsSet(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	must(c.iam.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("r"), Path: aws.String("/runner/"), Description: aws.String("d"), MaxSessionDuration: aws.Int32(7200),
		AssumeRolePolicyDocument: aws.String(accountTrust(s)), Tags: iamTags("a", "1", "b", "2"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess"),
	}))
	must(c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("r"), Tags: iamTags("a", "9")}))
	must(c.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: aws.String("r"), TagKeys: []string{"b"}}))
	must(c.iam.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: aws.String("r"), MaxSessionDuration: aws.Int32(3600)}))
	r := must(c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})).Role
	if *r.Arn != "arn:aws:iam::123456789012:role/runner/r" || *r.Path != "/runner/" || *r.Description != "d" || *r.MaxSessionDuration != 3600 ||
		*r.PermissionsBoundary.PermissionsBoundaryArn != "arn:aws:iam::aws:policy/AdministratorAccess" || !strings.HasPrefix(*r.RoleId, "AROA") || len(*r.RoleId) != 21 {
		t.Errorf("role %+v", r)
	}
	if got := must(url.QueryUnescape(*r.AssumeRolePolicyDocument)); got != accountTrust(s) {
		t.Errorf("trust policy %s", got)
	}
	tags := must(c.iam.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: aws.String("r")})).Tags
	if len(tags) != 1 || *tags[0].Value != "9" {
		t.Errorf("tags %v", tags)
	}
	must(c.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("r")}))
	if b := must(c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})).Role.PermissionsBoundary; b != nil {
		t.Errorf("boundary %v, want none", b)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
func TestInlinePolicies(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "r", "")
	doc := allow(`"ecr:*"`, "*")
	for i := range 3 {
		must(c.iam.PutRolePolicy(ctx, putPolicy("r", fmt.Sprint("p", i), doc)))
	}
	names := must(c.iam.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: aws.String("r")})).PolicyNames
	if diff := cmp.Diff([]string{"p0", "p1", "p2"}, names); diff != "" {
		t.Error(diff)
	}
	got := must(c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p1")}))
	if text := must(url.QueryUnescape(*got.PolicyDocument)); text != doc {
		t.Errorf("policy %s", text)
	}
	big := allow(`"ecr:`+strings.Repeat("a", 10_240)+`"`, "*")
	_, err := c.iam.PutRolePolicy(ctx, putPolicy("r", "big", big))
	wantCode(t, err, "LimitExceeded")
	_, err = c.iam.PutRolePolicy(ctx, putPolicy("r", "p1", doc+strings.Repeat(" ", 20_000)))
	wantCode(t, err, "") // white space does not count
	_, err = c.iam.PutRolePolicy(ctx, putPolicy("r", "bad", accountTrust(s)))
	wantCode(t, err, "MalformedPolicyDocument")
	_, err = c.iam.PutRolePolicy(ctx, putPolicy("none", "p", doc))
	wantCode(t, err, "NoSuchEntity")
	_, err = c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")})
	wantCode(t, err, "DeleteConflict")
	for _, n := range names {
		must(c.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("r"), PolicyName: &n}))
	}
	_, err = c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p1")})
	wantCode(t, err, "NoSuchEntity")
	_, err = c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")})
	wantCode(t, err, "")
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})
	wantCode(t, err, "NoSuchEntity")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
func TestManagedPoliciesAndTheirVersionsAct(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", "")
	p := must(c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allow(`"s3:*"`, "*"))})).Policy
	session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	describe := func() string {
		_, err := session.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
		return code(err)
	}
	must(c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn}))
	if got := describe(); got != "AccessDeniedException" {
		t.Errorf("with a policy for S3: %q", got)
	}
	must(c.iam.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(allow(`"ecr:*"`, "*")), SetAsDefault: true}))
	if got := describe(); got != "" {
		t.Errorf("with the version for ECR: %q", got)
	}
	must(c.iam.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")}))
	if got := describe(); got != "AccessDeniedException" {
		t.Errorf("back at the version for S3: %q", got)
	}
	_, err := c.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")})
	wantCode(t, err, "DeleteConflict")
	_, err = c.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: p.Arn})
	wantCode(t, err, "DeleteConflict")
	attached := must(c.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: aws.String("r")})).AttachedPolicies
	if len(attached) != 1 || *attached[0].PolicyArn != *p.Arn {
		t.Errorf("attached %v", attached)
	}
	must(c.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn}))
	must(c.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v2")}))
	must(c.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: p.Arn}))
	_, err = c.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: p.Arn})
	wantCode(t, err, "NoSuchEntity")

	must(c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")}))
	if got := describe(); got != "" {
		t.Errorf("with AWS' own policy: %q", got)
	}
	_, err = c.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")})
	wantCode(t, err, "ValidationError")
}

func TestListRolesPages(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	for i := range 7 {
		role(t, s, fmt.Sprintf("r%d", i), "")
	}
	p := iam.NewListRolesPaginator(c.iam, &iam.ListRolesInput{MaxItems: aws.Int32(3)})
	n, pages := 0, 0
	for p.HasMorePages() {
		n += len(must(p.NextPage(ctx)).Roles)
		pages++
	}
	if n != 7 || pages != 3 {
		t.Errorf("%d roles on %d pages, want 7 on 3", n, pages)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
func TestSimulateCustomPolicy(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	out := must(c.iam.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project}"},
			{"Effect":"Deny","Action":"ecr:Delete*","Resource":"*"}]}`},
		ActionNames:  []string{"ecr:PutImage", "ecr:DeleteRepository", "s3:GetObject"},
		ResourceArns: []string{"arn:aws:ecr:us-east-1:123456789012:repository/p1"},
		ContextEntries: []types.ContextEntry{{
			ContextKeyName: aws.String("aws:PrincipalTag/project"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{"p1"},
		}},
	}))
	got := map[string]types.PolicyEvaluationDecisionType{}
	for _, r := range out.EvaluationResults {
		got[*r.EvalActionName] = r.EvalDecision
	}
	want := map[string]types.PolicyEvaluationDecisionType{
		"ecr:PutImage": types.PolicyEvaluationDecisionTypeAllowed, "ecr:DeleteRepository": types.PolicyEvaluationDecisionTypeExplicitDeny, "s3:GetObject": types.PolicyEvaluationDecisionTypeImplicitDeny,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err := c.iam.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{PolicyInputList: []string{"{"}, ActionNames: []string{"ecr:PutImage"}})
	wantCode(t, err, "ValidationError")
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
func TestAccountSummaryCountsRolesAndRootsCredentials(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "r", allow(`"ecr:*"`, "*"))
	summary := must(c.iam.GetAccountSummary(context.Background(), &iam.GetAccountSummaryInput{})).SummaryMap
	if summary["Roles"] != 1 || summary["AccountAccessKeysPresent"] != 1 || summary["AccountPasswordPresent"] != 0 {
		t.Errorf("summary %v", summary)
	}
}
