package awsemulator_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html: percent-encoded as RFC 3986 says. With "+" for a blank,
// boto3 and the aws command line can't read a document.
func TestPoliciesAreEncodedAsURIs(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	doc := `{"Version": "2012-10-17", "Statement": [{"Sid": "OneAndTwo", "Effect": "Allow", "Action": "ecr:Get*", "Resource": "arn:aws:ecr:*:*:repository/a+b c~d"}]}`
	trust := strings.ReplaceAll(accountTrust(s), ":[", ": [")
	must(c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust}))
	must(c.iam.PutRolePolicy(ctx, putPolicy("r", "p", doc)))
	p := must(c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: &doc})).Policy
	list := must(c.iam.ListRoles(ctx, &iam.ListRolesInput{})).Roles
	for what, got := range map[string][2]string{
		"GetRole":          {*getRole(t, c, "r").AssumeRolePolicyDocument, trust},
		"ListRoles":        {*list[0].AssumeRolePolicyDocument, trust},
		"GetRolePolicy":    {*must(c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p")})).PolicyDocument, doc},
		"GetPolicyVersion": {*must(c.iam.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")})).PolicyVersion.Document, doc},
	} {
		if decoded, err := url.PathUnescape(got[0]); err != nil || decoded != got[1] || strings.Contains(got[0], "+") {
			t.Errorf("%s: %s", what, got[0])
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html; the messages are those that users of AWS report.
func TestMalformedPoliciesAreNamedByKind(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "r", "")
	noVersion := `{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	_, managed := c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: &noVersion})
	_, inline := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", noVersion))
	wantCode(t, inline, "") // it has the version of 2008
	_, syntax := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", "{"))
	_, legacy := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", strings.Replace(allow(`"ecr:*"`, "*"), `"Allow"`, `"allow"`, 1)))
	_, vendor := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", allow(`"PutImage"`, "*")))
	_, format := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", allow(`"ecr:*"`, "team/app")))
	_, principal := c.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("r"), PolicyDocument: aws.String(strings.Replace(accountTrust(s), ":root", ":role/none", 1))})
	for _, tc := range []struct {
		err  error
		want string
	}{
		{managed, "Policy document must be version 2012-10-17 or greater."},
		{syntax, "Syntax errors in policy."},
		{legacy, "The policy failed legacy parsing"},
		{vendor, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{format, `Resource team/app must be in ARN format or "*".`},
		{principal, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/none"`},
	} {
		if code(tc.err) != "MalformedPolicyDocument" || message(tc.err) != tc.want {
			t.Errorf("%v, want %q", tc.err, tc.want)
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
func TestTagKeysOfRolesDoNotDifferByCase(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "r", "")
	twice := iamTags("Team", "a", "team", "b")
	_, onCreate := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("other"), AssumeRolePolicyDocument: aws.String(accountTrust(s)), Tags: twice})
	_, onTag := c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("r"), Tags: twice})
	for _, err := range []error{onCreate, onTag} {
		if code(err) != "InvalidInput" || message(err) != "Duplicate tag keys found. Please note that Tag keys are case insensitive." {
			t.Error(err)
		}
	}
	must(c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("r"), Tags: iamTags("Team", "a", "Cost", "1")}))
	must(c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("r"), Tags: iamTags("tEAM", "b")}))
	if tags := getRole(t, c, "r").Tags; len(tags) != 2 || *tags[1].Key != "tEAM" || *tags[1].Value != "b" {
		t.Errorf("tags %v, want one that replaced the other", tags)
	}
	must(c.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: aws.String("r"), TagKeys: []string{"COST"}}))
	if tags := getRole(t, c, "r").Tags; len(tags) != 1 {
		t.Errorf("tags %v, want one", tags)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam-awsmanpol.html
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/PowerUserAccess.html
func TestAWSPoliciesAreAttachedAndAct(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}))
	for name, want := range map[string]string{
		"AmazonEC2ContainerRegistryReadOnly":   "list",
		"AmazonEC2ContainerRegistryPowerUser":  "list upload",
		"AmazonEC2ContainerRegistryFullAccess": "list upload create",
		"AmazonEC2ContainerRegistryPullOnly":   "",
		"PowerUserAccess":                      "list upload create roles stacks",
		"ReadOnlyAccess":                       "list roles role stacks",
		"AdministratorAccess":                  "list upload create roles role stacks",
		"IAMReadOnlyAccess":                    "roles role",
		"AWSCloudFormationReadOnlyAccess":      "stacks",
	} {
		t.Run(name, func(t *testing.T) {
			arn := role(t, s, name, "")
			managed := aws.String("arn:aws:iam::aws:policy/" + name)
			must(c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: managed}))
			session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
			_, list := session.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})
			_, upload := session.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("app")})
			_, create := session.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(strings.ToLower(name))})
			_, roles := session.iam.ListRoles(ctx, &iam.ListRolesInput{})
			_, one := session.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
			_, stacks := session.cfn.ListStacks(ctx, &cloudformation.ListStacksInput{})
			var can []string
			for i, err := range []error{list, upload, create, roles, one, stacks} {
				if err == nil {
					can = append(can, []string{"list", "upload", "create", "roles", "role", "stacks"}[i])
				}
			}
			if got := strings.Join(can, " "); got != want {
				t.Errorf("can %q, want %q", got, want)
			}
			p := must(c.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: managed})).Policy
			v := must(c.iam.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: managed, VersionId: p.DefaultVersionId})).PolicyVersion
			if !v.IsDefaultVersion || *p.AttachmentCount != 1 {
				t.Errorf("policy %+v", p)
			}
			// As a boundary it takes away what it does not allow.
			must(c.iam.PutRolePolicy(ctx, putPolicy(name, "all", allow(`"*"`, "*"))))
			must(c.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: managed}))
			must(c.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: managed}))
			_, list = session.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})
			if (list == nil) != strings.Contains(want, "list") {
				t.Errorf("as a boundary: %v", list)
			}
		})
	}
	_, err := c.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("ReadOnlyAccess"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/None")})
	wantCode(t, err, "NoSuchEntity")
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html
func TestRoleTellsWhenItWasUsed(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true, Clock: clock})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	if used := getRole(t, c, "r").RoleLastUsed; used == nil || used.LastUsedDate != nil {
		t.Errorf("before its use: %+v", used)
	}
	clock.Advance(time.Minute)
	must(session.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}))
	var used *types.RoleLastUsed
	if used = getRole(t, c, "r").RoleLastUsed; used.LastUsedDate == nil || !used.LastUsedDate.Equal(clock.Now()) || *used.Region != s.Region() {
		t.Errorf("after its use: %+v", used)
	}
}
