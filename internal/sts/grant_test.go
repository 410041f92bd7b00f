package sts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/awsemulator"
)

const anything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// newGranter starts an account with a role that may be assumed.
func newGranter(t *testing.T, options awsemulator.Options) (*Granter, *awsemulator.Server, string) {
	t.Helper()
	options.RootMayAssumeRoles = true
	account, err := awsemulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = account.Close() }) // the test is over
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": account.URL(), "AWS_ACCESS_KEY_ID": account.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": account.SecretAccessKey(),
		"AWS_REGION": account.Region(), "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	api := awsiam.NewFromConfig(awssdk.Config{
		Region: account.Region(), BaseEndpoint: awssdk.String(account.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(account.AccessKeyID(), account.SecretAccessKey(), ""),
	})
	trust := sessionpolicy.Trust("arn:aws:iam::"+account.AccountID()+":root", account.AccountID(), "aws")
	role, err := api.CreateRole(t.Context(), &awsiam.CreateRoleInput{RoleName: awssdk.String("pull"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutRolePolicy(t.Context(), &awsiam.PutRolePolicyInput{RoleName: awssdk.String("pull"), PolicyName: awssdk.String("p"), PolicyDocument: awssdk.String(anything)}); err != nil {
		t.Fatal(err)
	}
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	account.Calls().Reset()
	return NewGranter(provider), account, *role.Role.Arn
}

func TestGrantIsAPasswordUntilTheEarlierEnd(t *testing.T) {
	g, account, role := newGranter(t, awsemulator.Options{})
	began := time.Now()
	password, err := g.Grant(t.Context(), aws.Target{}, Request{RoleARN: role, SessionName: "pull-x", Project: "shop", Policy: anything, Duration: 30 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if password.Username != "AWS" || password.Registry != account.RegistryHost() || password.Password != account.IssuedPasswords()[0] {
		t.Errorf("user %s at %s", password.Username, password.Registry)
	}
	if left := password.ExpiresAt.Sub(began); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("it lasts %s, and the session 30 min", left)
	}
	if n := account.Calls().Total(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestGrantWithTooLongAPolicyMakesNoCall(t *testing.T) {
	g, account, role := newGranter(t, awsemulator.Options{})
	policy := strings.Repeat(" ", maxPolicy+1-len(anything)) + anything
	_, err := g.Grant(t.Context(), aws.Target{}, Request{RoleARN: role, Project: "shop", Policy: policy})
	if !errors.Is(err, ErrPolicyTooLong) || account.Calls().Total() != 0 {
		t.Errorf("%v, %d calls", err, account.Calls().Total())
	}
	if _, err := g.Grant(t.Context(), aws.Target{}, Request{RoleARN: role, Project: "shop", Policy: policy[1:]}); err != nil {
		t.Errorf("of the longest policy: %v", err)
	}
}

func TestPackedPolicyThatIsTooLargeIsToldApart(t *testing.T) {
	g, _, role := newGranter(t, awsemulator.Options{PackedPolicyLimit: 20})
	_, err := g.Grant(t.Context(), aws.Target{}, Request{RoleARN: role, Project: "shop", Policy: anything})
	if !errors.Is(err, ErrPackedTooLarge) || !strings.Contains(err.Error(), "disableSessionTags") {
		t.Errorf("got %v", err)
	}
}

func TestGrantForARoleThatTrustsNobodyIsDenied(t *testing.T) {
	g, _, _ := newGranter(t, awsemulator.Options{})
	_, err := g.Grant(t.Context(), aws.Target{}, Request{RoleARN: "arn:aws:iam::123456789012:role/none", Project: "shop", Policy: anything})
	if aws.ClassOf(err) != aws.ClassAccessDenied {
		t.Errorf("got %v", err)
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	for _, token := range []string{"c2VjcmV0", "secret!"} {
		if _, err := decode(token); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), token) {
			t.Errorf("decode(%q): %v", token, err)
		}
	}
}

func TestCheckMakesASessionThatMayDoNothing(t *testing.T) {
	g, account, role := newGranter(t, awsemulator.Options{})
	if err := g.Check(context.Background(), aws.Target{}, role); err != nil {
		t.Fatal(err)
	}
	if len(account.IssuedPasswords()) != 0 {
		t.Error("it got a password")
	}
}

func TestSessionNames(t *testing.T) {
	long := "push-" + strings.Repeat("e", 60) + "-" + strings.Repeat("n", 60)
	for text, want := range map[string]string{
		"pull-ns-shop": "pull-ns-shop",
		"pull/ns shop": "pull-ns-shop",
		"":             "--",
		"ü":            "--",
		long:           long[:31] + "-" + long[len(long)-31:],
	} {
		if got := sessionName(text); got != want {
			t.Errorf("sessionName(%q) = %q, want %q", text, got, want)
		}
	}
}
