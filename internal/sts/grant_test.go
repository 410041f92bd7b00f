package sts

import (
	"errors"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/awsemulator"
	"imagecache.dev/internal/sessionpolicy"
)

const (
	runnerID = "r1"
	project  = "p1"
)

// start starts an account with a pull role that trusts its root user, and a Granter that acts as that.
func start(t *testing.T, options awsemulator.Options) (*Granter, aws.Target, string) {
	t.Helper()
	options.RootMayAssumeRoles = true
	server, err := awsemulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() }) // the test is over
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL(), "AWS_REGION": server.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_ACCESS_KEY_ID": server.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": server.SecretAccessKey(),
	} {
		t.Setenv(variable, value)
	}
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := aws.Target{Region: server.Region()}
	clients := provider.Clients(target)
	name := sessionpolicy.RoleName(runnerID, server.Region(), sessionpolicy.PurposePull)
	made, err := clients.IAM.CreateRole(t.Context(), &awsiam.CreateRoleInput{
		RoleName: &name, AssumeRolePolicyDocument: awssdk.String(sessionpolicy.Trust("arn:aws:iam::"+server.AccountID()+":root", server.AccountID(), "aws")),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = clients.IAM.PutRolePolicy(t.Context(), &awsiam.PutRolePolicyInput{
		RoleName: &name, PolicyName: awssdk.String("p"), PolicyDocument: awssdk.String(sessionpolicy.PullRole("aws", server.Region(), server.AccountID(), runnerID)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewGranter(provider), target, *made.Role.Arn
}

func request(role string) Request {
	arn := sessionpolicy.RepositoryARN("aws", "us-east-1", "123456789012", sessionpolicy.RepositoryName(runnerID, project))
	return Request{RoleARN: role, SessionName: "pull/env 1", Project: project, Policy: sessionpolicy.Pull(arn, time.Now().Add(time.Hour)), Duration: time.Hour}
}

func TestGrantGivesAPasswordThatEndsWithItsSession(t *testing.T) {
	granter, target, role := start(t, awsemulator.Options{})
	password, err := granter.Grant(t.Context(), target, request(role))
	if err != nil {
		t.Fatal(err)
	}
	if password.Username != "AWS" || password.Password == "" || password.Registry == "" || strings.Contains(password.Registry, "/") {
		t.Errorf("user %q at registry %q with a password of %d characters", password.Username, password.Registry, len(password.Password))
	}
	if left := time.Until(password.ExpiresAt); left > time.Hour || left < 58*time.Minute {
		t.Errorf("the password says that it lasts %s, want the session's hour and not the token's twelve", left)
	}
}

func TestCheckTellsWhetherARoleCanBeAssumed(t *testing.T) {
	granter, target, role := start(t, awsemulator.Options{})
	if err := granter.Check(t.Context(), target, role); err != nil {
		t.Errorf("a role that trusts the caller: %v", err)
	}
	if err := granter.Check(t.Context(), target, role+"-none"); aws.ClassOf(err) != aws.ClassAccessDenied {
		t.Errorf("a role that isn't there: %v, want class AccessDenied", err)
	}
}

func TestPoliciesThatAreTooLargeAreToldApart(t *testing.T) {
	granter, target, role := start(t, awsemulator.Options{PackedPolicyLimit: 50})
	long := request(role)
	long.Policy = strings.Repeat(" ", 2049)
	if _, err := granter.Grant(t.Context(), target, long); !errors.Is(err, ErrPolicyTooLong) {
		t.Errorf("2,049 characters: %v, want ErrPolicyTooLong", err)
	}
	if _, err := granter.Grant(t.Context(), target, request(role)); !errors.Is(err, ErrPackedTooLarge) {
		t.Errorf("a packed size beyond the limit: %v, want ErrPackedTooLarge", err)
	}
}

func TestSessionNames(t *testing.T) {
	for text, want := range map[string]string{
		"push-env-1":      "push-env-1",
		"pull/team a/env": "pull-team-a-env",
		"":                "--",
		"x":               "x-",
		"käse":            "k-se",
		strings.Repeat("a", 40) + strings.Repeat("b", 40): strings.Repeat("a", 31) + "-" + strings.Repeat("b", 31),
	} {
		if got := sessionName(text); got != want {
			t.Errorf("sessionName(%q) = %q, want %q", text, got, want)
		}
	}
}
