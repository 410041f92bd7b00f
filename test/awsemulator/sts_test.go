package awsemulator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"imagecache.dev/test/awsemulator"
)

func manySessionTags(n int) (out []ststypes.Tag) {
	for i := range n {
		out = append(out, sessionTag(fmt.Sprintf("k%d", i), "v")...)
	}
	return out
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func TestAssumeRoleValidates(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	for _, tc := range []struct {
		name string
		in   sts.AssumeRoleInput
		want string
	}{
		{"good", sts.AssumeRoleInput{}, ""},
		{"unknown role", sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/none")}, "AccessDenied"},
		{"no ARN", sts.AssumeRoleInput{RoleArn: aws.String("just-the-name-of-a-role")}, "ValidationError"},
		{"899 seconds", sts.AssumeRoleInput{DurationSeconds: aws.Int32(899)}, "ValidationError"},
		{"more than the role's maximum", sts.AssumeRoleInput{DurationSeconds: aws.Int32(3601)}, "ValidationError"},
		{"more than 12 hours", sts.AssumeRoleInput{DurationSeconds: aws.Int32(43_201)}, "ValidationError"},
		{"slash in the session name", sts.AssumeRoleInput{RoleSessionName: aws.String("a/b")}, "ValidationError"},
		{"session name of one character", sts.AssumeRoleInput{RoleSessionName: aws.String("a")}, "ValidationError"},
		{"session name of 65 characters", sts.AssumeRoleInput{RoleSessionName: aws.String(strings.Repeat("a", 65))}, "ValidationError"},
		{"source identity of AWS", sts.AssumeRoleInput{SourceIdentity: aws.String("aws:me")}, "ValidationError"},
		{"broken policy", sts.AssumeRoleInput{Policy: aws.String("{")}, "MalformedPolicyDocument"},
		{"policy with a principal", sts.AssumeRoleInput{Policy: aws.String(accountTrust(s))}, "MalformedPolicyDocument"},
		{"policy of 2,049 characters", sts.AssumeRoleInput{Policy: aws.String(allow(`"ecr:*"`, "*") + strings.Repeat(" ", 2000))}, "ValidationError"},
		{"51 tags", sts.AssumeRoleInput{Tags: manySessionTags(51)}, "ValidationError"},
		{"50 tags", sts.AssumeRoleInput{Tags: manySessionTags(50)}, ""},
		{"the same tag in another case", sts.AssumeRoleInput{Tags: append(sessionTag("a", "1"), sessionTag("A", "2")...)}, "InvalidParameterValue"},
		{"long tag value", sts.AssumeRoleInput{Tags: sessionTag("a", strings.Repeat("v", 257))}, "ValidationError"},
		{"transitive key without its tag", sts.AssumeRoleInput{TransitiveTagKeys: []string{"a"}}, "InvalidParameterValue"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.RoleArn == nil {
				tc.in.RoleArn = &arn
			}
			if tc.in.RoleSessionName == nil {
				tc.in.RoleSessionName = aws.String("test")
			}
			_, err := c.sts.AssumeRole(ctx, &tc.in)
			wantCode(t, err, tc.want)
		})
	}
}

// PackedPolicyTooLarge: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors
func TestPoliciesAndTagsShareAPackedSpace(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true, PackedPolicyLimit: 200})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	try := func(in sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
		in.RoleArn, in.RoleSessionName = &arn, aws.String("test")
		return c.sts.AssumeRole(ctx, &in)
	}
	used := func(in sts.AssumeRoleInput) int32 { return *must(try(in)).SessionTokenUtilization }
	plain, small := used(sts.AssumeRoleInput{}), used(sts.AssumeRoleInput{Policy: aws.String(allow(`"ecr:*"`, "*"))})
	more := used(sts.AssumeRoleInput{Policy: aws.String(allow(`"ecr:*"`, "*")), Tags: sessionTag("project", "p1")})
	if plain <= 0 || small <= plain || more <= small || more > 100 {
		t.Errorf("of the token %d%%, with a policy %d%%, with a tag too %d%%", plain, small, more)
	}
	_, err := try(sts.AssumeRoleInput{Policy: aws.String(allow(`"ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload"`,
		"arn:aws:ecr:us-east-1:123456789012:repository/gitpod-runner-0193e2b4/projects/0193e2b5/image-build"))})
	wantCode(t, err, "PackedPolicyTooLarge")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining
func TestRoleChaining(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	first := role(t, s, "first", allow(`"sts:*"`, "*"))
	must(c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("second"), AssumeRolePolicyDocument: aws.String(accountTrust(s)), MaxSessionDuration: aws.Int32(7200)}))
	second := "arn:aws:iam::123456789012:role/second"
	must(c.iam.PutRolePolicy(ctx, putPolicy("second", "rights",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/cluster":"c1","aws:PrincipalTag/project":"p1"},"Null":{"aws:PrincipalTag/local":"true"},"StringLike":{"aws:SourceIdentity":"me"}}}]}`)))
	one := assume(t, s, c, &sts.AssumeRoleInput{
		RoleArn: &first, Tags: append(sessionTag("cluster", "c1"), sessionTag("local", "x")...), TransitiveTagKeys: []string{"cluster"}, SourceIdentity: aws.String("me"),
	})
	two := assume(t, s, one, &sts.AssumeRoleInput{RoleArn: &second, Tags: sessionTag("project", "p1")})
	_, err := two.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "") // cluster was inherited, local was not, and the source identity stays

	try := func(in sts.AssumeRoleInput) error {
		in.RoleArn, in.RoleSessionName = &second, aws.String("test")
		_, err := one.sts.AssumeRole(ctx, &in)
		return err
	}
	wantCode(t, try(sts.AssumeRoleInput{DurationSeconds: aws.Int32(3601)}), "ValidationError")
	wantCode(t, try(sts.AssumeRoleInput{DurationSeconds: aws.Int32(3600)}), "")
	wantCode(t, try(sts.AssumeRoleInput{Tags: sessionTag("Cluster", "c2")}), "InvalidParameterValue")
	wantCode(t, try(sts.AssumeRoleInput{SourceIdentity: aws.String("you")}), "AccessDenied")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_permissions-required
func TestTrustPolicies(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	callerARN := role(t, s, "caller", allow(`"sts:*"`, "*"))
	poorARN := role(t, s, "poor", "")
	rich := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &callerARN})
	poor := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &poorARN})
	n := 0
	trust := func(principal, actions, condition string) *string {
		t.Helper()
		n++
		name := fmt.Sprintf("target%d", n)
		if condition != "" {
			condition = `,"Condition":{` + condition + `}`
		}
		doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":[` + actions + `]` + condition + `}]}`
		return must(c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &doc})).Role.Arn
	}
	const assumeOnly, all = `"sts:AssumeRole"`, `"sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"`
	account := `{"AWS":"arn:aws:iam::123456789012:root"}`
	byARN := `{"AWS":"` + callerARN + `"}`
	for _, tc := range []struct {
		name string
		arn  *string
		by   clients
		in   sts.AssumeRoleInput
		want string
	}{
		{"account, and the caller may", trust(account, all, ""), rich, sts.AssumeRoleInput{}, ""},
		{"account, and the caller may not", trust(account, all, ""), poor, sts.AssumeRoleInput{}, "AccessDenied"},
		{"the caller's role", trust(byARN, all, ""), rich, sts.AssumeRoleInput{}, ""},
		{"another role", trust(byARN, all, ""), poor, sts.AssumeRoleInput{}, "AccessDenied"},
		{"the role by name needs no identity policy", trust(`{"AWS":"`+poorARN+`"}`, all, ""), poor, sts.AssumeRoleInput{}, ""},
		{"account narrowed to the role", trust(account, all, `"ArnEquals":{"aws:PrincipalArn":"`+callerARN+`"}`), rich, sts.AssumeRoleInput{}, ""},
		{"account narrowed to another role", trust(account, all, `"ArnEquals":{"aws:PrincipalArn":"`+poorARN+`"}`), rich, sts.AssumeRoleInput{}, "AccessDenied"},
		{"tags need sts:TagSession", trust(account, assumeOnly, ""), rich, sts.AssumeRoleInput{Tags: sessionTag("a", "b")}, "AccessDenied"},
		{"source identity needs sts:SetSourceIdentity", trust(account, assumeOnly, ""), rich, sts.AssumeRoleInput{SourceIdentity: aws.String("me")}, "AccessDenied"},
		{"external ID", trust(account, all, `"StringEquals":{"sts:ExternalId":"secret"}`), rich, sts.AssumeRoleInput{ExternalId: aws.String("secret")}, ""},
		{"no external ID", trust(account, all, `"StringEquals":{"sts:ExternalId":"secret"}`), rich, sts.AssumeRoleInput{}, "AccessDenied"},
		{"wanted tag", trust(account, all, `"StringEquals":{"aws:RequestTag/project":"p1"}`), rich, sts.AssumeRoleInput{Tags: sessionTag("project", "p1")}, ""},
		{"another tag", trust(account, all, `"StringEquals":{"aws:RequestTag/project":"p1"}`), rich, sts.AssumeRoleInput{Tags: sessionTag("project", "p2")}, "AccessDenied"},
		{"wanted session name", trust(account, all, `"StringLike":{"sts:RoleSessionName":"test*"}`), rich, sts.AssumeRoleInput{}, ""},
		{"a service only", trust(`{"Service":"ec2.amazonaws.com"}`, all, ""), rich, sts.AssumeRoleInput{}, "AccessDenied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.RoleArn, tc.in.RoleSessionName = tc.arn, aws.String("test-session")
			_, err := tc.by.sts.AssumeRole(ctx, &tc.in)
			wantCode(t, err, tc.want)
		})
	}
}

// A role that is deleted and made anew is another principal: reference_policies_elements_principal.html#principal-roles
func TestTrustInADeletedRoleIsNotTrustInItsNamesake(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	caller := role(t, s, "caller", allow(`"sts:*"`, "*"))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + caller + `"},"Action":"sts:AssumeRole"}]}`
	target := must(c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("target"), AssumeRolePolicyDocument: &trust})).Role.Arn
	try := func() error {
		_, err := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &caller}).sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: target, RoleSessionName: aws.String("test")})
		return err
	}
	wantCode(t, try(), "")
	old := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &caller})
	must(c.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("caller"), PolicyName: aws.String("rights")}))
	must(c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("caller")}))
	_, err := old.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "AccessDeniedException")
	role(t, s, "caller", allow(`"sts:*"`, "*"))
	wantCode(t, try(), "AccessDenied")
	shown := *must(c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("target")})).Role.AssumeRolePolicyDocument
	if !strings.Contains(shown, "AROA") {
		t.Errorf("trust policy %s, want the deleted role's ID in it", shown)
	}
}

// "Roles may not be assumed by root accounts": API_AssumeRole.html
func TestRootMayNotAssumeRolesUnlessTold(t *testing.T) {
	s := start(t, awsemulator.Options{})
	arn := role(t, s, "r", "")
	_, err := root(t, s).sts.AssumeRole(context.Background(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("test")})
	wantCode(t, err, "AccessDenied")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
func TestNewRolesTakeTime(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true, IAMDelay: 5 * time.Second})
	c := root(t, s)
	createRepository(t, c, "app")
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"ecr:*"}]}`
	try := func() (assumed, named error) {
		_, assumed = c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("test")})
		_, named = c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: &text})
		return assumed, named
	}
	assumed, named := try()
	wantCode(t, assumed, "AccessDenied")
	wantCode(t, named, "InvalidParameterException")
	clock.Advance(5 * time.Second)
	assumed, named = try()
	wantCode(t, assumed, "")
	wantCode(t, named, "")
}
