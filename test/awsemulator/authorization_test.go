package awsemulator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
func TestSignaturesAreVerified(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	out := must(root(t, s).sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("test")}))
	key, secret, token := *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken
	for _, tc := range []struct {
		name, key, secret, token, json, query string
	}{
		{"root", s.AccessKeyID(), s.SecretAccessKey(), "", "", ""},
		{"root with a wrong secret", s.AccessKeyID(), "wrong", "", "InvalidSignatureException", "SignatureDoesNotMatch"},
		{"unknown key", "AKIAUNKNOWN000000000", "wrong", "", "UnrecognizedClientException", "InvalidClientTokenId"},
		{"session", key, secret, token, "", ""},
		{"session with a wrong secret", key, "wrong", token, "InvalidSignatureException", "SignatureDoesNotMatch"},
		{"session without its token", key, secret, "", "UnrecognizedClientException", "InvalidClientTokenId"},
		{"session with another token", key, secret, "x" + token, "UnrecognizedClientException", "InvalidClientTokenId"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, s, tc.key, tc.secret, tc.token)
			_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
			wantCode(t, err, tc.json)
			_, err = c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			wantCode(t, err, tc.query)
		})
	}
	elsewhere := root(t, s).config
	elsewhere.Region = "eu-central-1"
	_, err := ecr.NewFromConfig(elsewhere).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "InvalidSignatureException")
}

func TestSessionsRunOut(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true})
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	c := assume(t, s, root(t, s), &sts.AssumeRoleInput{RoleArn: &arn, DurationSeconds: aws.Int32(900)})
	clock.Advance(900*time.Second - 1)
	_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "")
	clock.Advance(1)
	_, err = c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "ExpiredTokenException")
	_, err = c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "ExpiredToken")
}

// The words by which AWS says why: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func TestDenialsSayWhichPolicyRefused(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	who := "User: arn:aws:sts::123456789012:assumed-role/r/test is not authorized to perform: ecr:DescribeImages on resource: arn:aws:ecr:us-east-1:123456789012:repository/app"
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"*"}]}`
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	boundary := must(c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("b"), PolicyDocument: aws.String(allow(`"s3:*"`, "*"))})).Policy.Arn
	for _, tc := range []struct {
		name    string
		prepare func()
		session string
		want    string
	}{
		{"session policy lacks it", nil, allow(`"s3:*"`, "*"), " because no session policy allows the ecr:DescribeImages action"},
		{"session policy denies", nil, deny, " with an explicit deny in a session policy"},
		{"boundary lacks it", func() {
			must(c.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("r"), PermissionsBoundary: boundary}))
		}, "", " because no permissions boundary allows the ecr:DescribeImages action"},
		{"repository policy denies", func() {
			must(c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:DescribeImages"}]}`)}))
		}, "", " with an explicit deny in a resource-based policy"},
		{"identity policy denies", func() { must(c.iam.PutRolePolicy(ctx, putPolicy("r", "rights", deny))) }, "", " with an explicit deny in an identity-based policy"},
		{"identity policy lacks it", func() {
			must(c.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String("app")}))
			must(c.iam.PutRolePolicy(ctx, putPolicy("r", "rights", allow(`"s3:*"`, "*"))))
		}, "", " because no identity-based policy allows the ecr:DescribeImages action"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.prepare != nil {
				tc.prepare()
			}
			in := &sts.AssumeRoleInput{RoleArn: &arn}
			if tc.session != "" {
				in.Policy = &tc.session
			}
			_, err := assume(t, s, c, in).ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
			wantCode(t, err, "AccessDeniedException")
			if err == nil || !strings.Contains(err.Error(), who+tc.want) {
				t.Errorf("message %v, want %q", err, who+tc.want)
			}
		})
	}
}

// What may exist is not told to those who may not look.
func TestDenialComesBeforeNotFound(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	arn := role(t, s, "r", "")
	c := assume(t, s, root(t, s), &sts.AssumeRoleInput{RoleArn: &arn})
	_, err := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("none")})
	wantCode(t, err, "AccessDeniedException")
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("none")})
	wantCode(t, err, "AccessDenied")
	_, err = c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "") // needs no permission: API_GetCallerIdentity.html
}

// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-supported-iam-actions-tagging.html
func TestTagConditionsOnRepositories(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("mine"), Tags: ecrTags("project", "p1")}))
	must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("other"), Tags: ecrTags("project", "p2")}))
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ecr:DescribeImages","ecr:GetAuthorizationToken"],"Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/project":"${aws:PrincipalTag/project}"}}},
		{"Effect":"Allow","Action":["ecr:ListImages"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/project":"p1"}}},
		{"Effect":"Allow","Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/project":"p1"},"ForAllValues:StringEquals":{"aws:TagKeys":["project","owner"]}}}]}`
	arn := role(t, s, "r", policy)
	p1 := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn, Tags: sessionTag("project", "p1")})
	describe := func(repo string) error {
		_, err := p1.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &repo})
		return err
	}
	wantCode(t, describe("mine"), "")
	wantCode(t, describe("other"), "AccessDeniedException")
	_, err := p1.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("mine")})
	wantCode(t, err, "")
	// GetAuthorizationToken has no resource, so no resource tag: a condition on one never holds.
	_, err = p1.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	wantCode(t, err, "AccessDeniedException")
	create := func(name string, tags []types.Tag) error {
		_, err := p1.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name, Tags: tags})
		return err
	}
	wantCode(t, create("right-tags", ecrTags("project", "p1", "owner", "me")), "")
	wantCode(t, create("wrong-value", ecrTags("project", "p2")), "AccessDeniedException")
	wantCode(t, create("one-key-more", ecrTags("project", "p1", "cost", "1")), "AccessDeniedException")
	wantCode(t, create("no-tags", nil), "AccessDeniedException")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func TestPrincipalKeysOfARoleSession(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	id := *must(c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")})).Role.RoleId
	for condition, want := range map[string]string{
		`"ArnEquals":{"aws:PrincipalArn":"` + arn + `"}`:                                                                 "",
		`"ArnLike":{"aws:PrincipalArn":"arn:aws:sts::*:assumed-role/*"}`:                                                 "AccessDeniedException",
		`"StringEquals":{"aws:userid":"` + id + `:test"}`:                                                                "",
		`"StringLike":{"aws:userid":"` + id + `:other*"}`:                                                                "AccessDeniedException",
		`"StringEquals":{"aws:PrincipalTag/project":"p1","aws:PrincipalAccount":"123456789012"}`:                         "",
		`"Null":{"aws:TokenIssueTime":"false"}`:                                                                          "",
		`"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01T00:00:00Z"},"IpAddress":{"aws:SourceIp":"127.0.0.1/8"}`:     "",
		`"DateLessThan":{"aws:TokenIssueTime":"2020-01-01T00:00:00Z"}`:                                                   "AccessDeniedException",
		`"StringEquals":{"aws:SourceIdentity":"me","aws:PrincipalType":"AssumedRole","aws:RequestedRegion":"us-east-1"}`: "",
		`"Bool":{"aws:SecureTransport":"true"}`:                                                                          "AccessDeniedException",
	} {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + condition + `}}]}`
		session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn, Policy: &policy, Tags: sessionTag("project", "p1"), SourceIdentity: aws.String("me")})
		_, err := session.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
		if code(err) != want {
			t.Errorf("%s: %v, want %q", condition, err, want)
		}
	}
}

// The emergency brake: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
func TestRevokingOlderSessionsByTokenIssueTime(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	older := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	clock.Advance(time.Minute)
	must(c.iam.PutRolePolicy(ctx, putPolicy("r", "AWSRevokeOlderSessions",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+clock.Now().Format(time.RFC3339)+`"}}}]}`)))
	newer := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	_, err := older.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "AccessDeniedException")
	_, err = newer.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "")
}

// The switch that stands for the check "how long policy changes take".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
func TestPolicyChangesActAfterTheDelay(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true, PolicyDelay: 10 * time.Second})
	c := root(t, s)
	createRepository(t, c, "app")
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	_, err := c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("test")})
	wantCode(t, err, "AccessDenied")
	clock.Advance(10 * time.Second)
	session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	list := func() error {
		_, err := session.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})
		return err
	}
	wantCode(t, list(), "")
	must(c.iam.PutRolePolicy(ctx, putPolicy("r", "rights", allow(`"s3:*"`, "*"))))
	wantCode(t, list(), "")
	clock.Advance(10 * time.Second)
	wantCode(t, list(), "AccessDeniedException")

	must(c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}]}`)}))
	wantCode(t, list(), "AccessDeniedException")
	clock.Advance(10 * time.Second)
	wantCode(t, list(), "")
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
func TestAuthorizationTokensForOtherRegistries(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	get := func(ids ...string) ([]types.AuthorizationData, error) {
		out, err := c.ecr.GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{RegistryIds: ids}) //nolint:staticcheck // clients of earlier versions send it
		if err != nil {
			return nil, err
		}
		return out.AuthorizationData, nil
	}
	own := must(get())
	both := must(get(s.AccountID(), "999999999999"))
	if len(both) != 2 || *both[0].ProxyEndpoint != *own[0].ProxyEndpoint || *both[1].ProxyEndpoint != "https://999999999999.dkr.ecr."+s.Region()+".amazonaws.com" {
		t.Errorf("tokens for %d registries: %+v", len(both), both)
	}
	if *both[0].AuthorizationToken == *both[1].AuthorizationToken {
		t.Error("two registries have one token")
	}
	_, err := get("other")
	wantCode(t, err, "InvalidParameterException")
}
