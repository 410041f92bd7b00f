package awsemulator_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"imagecache.dev/test/awsemulator"
)

func of(t *testing.T, s *awsemulator.Server, c *ststypes.Credentials) clients {
	t.Helper()
	return connect(t, s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
func TestGetSessionTokenOfRoot(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	for seconds, want := range map[int32]time.Duration{900: 900 * time.Second, 129_600: time.Hour} {
		out := must(c.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: &seconds}))
		if got := out.Credentials.Expiration.Sub(clock.Now()); got != want {
			t.Errorf("%d seconds were asked for: %s, want %s", seconds, got, want)
		}
	}
	_, err := c.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(899)})
	wantCode(t, err, "ValidationError")
	session := of(t, s, must(c.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})).Credentials)
	if id := must(session.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})); *id.Arn != "arn:aws:iam::123456789012:root" || *id.UserId != "123456789012" {
		t.Errorf("identity %+v", id)
	}
	createRepository(t, session, "app")
	_, err = session.iam.ListRoles(ctx, &iam.ListRolesInput{})
	wantCode(t, err, "InvalidClientTokenId")
	_, err = session.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	if code(err) != "AccessDenied" || message(err) != "Cannot call GetSessionToken with session credentials" {
		t.Error(err)
	}
	clock.Advance(time.Hour)
	_, err = session.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "ExpiredTokenException")
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func TestGetFederationTokenGivesWhatItsPoliciesAllow(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", "")
	createRepository(t, c, "app")
	createRepository(t, c, "other")
	federate := func(in sts.GetFederationTokenInput) (clients, *sts.GetFederationTokenOutput) {
		t.Helper()
		in.Name = aws.String("bob")
		out := must(c.sts.GetFederationToken(ctx, &in))
		return of(t, s, out.Credentials), out
	}
	list := func(c clients, name string) string {
		_, err := c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: &name})
		return code(err)
	}
	policy := aws.String(allow(`"ecr:*","sts:*"`, "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}"))
	bob, out := federate(sts.GetFederationTokenInput{Policy: policy, Tags: sessionTag("team", "app")})
	if *out.FederatedUser.Arn != "arn:aws:sts::123456789012:federated-user/bob" || *out.FederatedUser.FederatedUserId != "123456789012:bob" || *out.SessionTokenUtilization == 0 || *out.SessionTokenSize == 0 {
		t.Errorf("answer %+v", out)
	}
	if id := must(bob.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})); *id.Arn != *out.FederatedUser.Arn || *id.UserId != *out.FederatedUser.FederatedUserId {
		t.Errorf("identity %+v", id)
	}
	if app, other := list(bob, "app"), list(bob, "other"); app != "" || other != "AccessDeniedException" {
		t.Errorf("by the policy: app %q, other %q", app, other)
	}
	without, _ := federate(sts.GetFederationTokenInput{})
	if got := list(without, "app"); got != "AccessDeniedException" {
		t.Errorf("without a policy: %q", got)
	}
	managed, _ := federate(sts.GetFederationTokenInput{PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")}}})
	if got := list(managed, "app"); got != "" {
		t.Errorf("with a managed policy: %q", got)
	}
	_, asRole := bob.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("x1")})
	_, again := bob.sts.GetFederationToken(ctx, &sts.GetFederationTokenInput{Name: aws.String("eve")})
	_, asIAM := bob.iam.ListRoles(ctx, &iam.ListRolesInput{})
	for err, want := range map[error]string{asRole: "AccessDenied", again: "AccessDenied", asIAM: "InvalidClientTokenId"} {
		wantCode(t, err, want)
	}
	for name, in := range map[string]sts.GetFederationTokenInput{
		"ValidationError":         {Name: aws.String("a")},
		"MalformedPolicyDocument": {Name: aws.String("bob"), Policy: aws.String("{")},
		"PackedPolicyTooLarge":    {Name: aws.String("bob"), Tags: unlikeTags(50)},
		"InvalidParameterValue":   {Name: aws.String("bob"), Tags: append(sessionTag("a", "1"), sessionTag("A", "2")...)},
	} {
		_, err := c.sts.GetFederationToken(ctx, &in)
		wantCode(t, err, name)
	}
}

// unlikeTags are tags that can't be packed well.
func unlikeTags(n int) (out []ststypes.Tag) {
	for i := range n {
		digest := strings.TrimPrefix(digestOf(strings.Repeat("x", i)), "sha256:")
		out = append(out, sessionTag(digest[:40], digest)...)
	}
	return out
}

// late changes a request after it was signed.
func late(change func(*smithyhttp.Request)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("late", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
			middleware.FinalizeOutput, middleware.Metadata, error,
		) {
			request, ok := in.Request.(*smithyhttp.Request)
			if !ok {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, errors.New("not an HTTP request")
			}
			change(request)
			return next.HandleFinalize(ctx, in)
		}), middleware.After)
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html: headers that begin with x-amz- are signed.
func TestHeadersAddedAfterSigningAreRefused(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	with := func(name string) error {
		change := late(func(r *smithyhttp.Request) { r.Header.Set(name, "x") })
		_, errECR := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}, func(o *ecr.Options) { o.APIOptions = append(o.APIOptions, change) })
		_, errSTS := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.APIOptions = append(o.APIOptions, change) })
		if (errECR == nil) != (errSTS == nil) {
			t.Errorf("%s: %v, but %v", name, errECR, errSTS)
		}
		return errECR
	}
	var e smithy.APIError
	if err := with("X-Amz-Extra"); !errors.As(err, &e) || e.ErrorCode() != "InvalidSignatureException" ||
		e.ErrorMessage() != "'X-Amz-Extra' must be a 'SignedHeader' in the AWS Authorization." {
		t.Error(err)
	}
	wantCode(t, with("X-Amzn-Trace-Id"), "") // proxies add it
	wantCode(t, with("Amz-Sdk-Extra"), "")
}
