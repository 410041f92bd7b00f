package awsemulator_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	imagecacheaws "imagecache.dev/internal/aws"
	"imagecache.dev/test/awsemulator"
)

// clients are the real SDK's, for one set of credentials.
type clients struct {
	config aws.Config
	ecr    *ecr.Client
	iam    *iam.Client
	sts    *sts.Client
	cfn    *cloudformation.Client
	tags   *resourcegroupstaggingapi.Client
	kms    *kms.Client
}

func start(t *testing.T, o awsemulator.Options) *awsemulator.Server {
	t.Helper()
	s, err := awsemulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close emulator: %v", err)
		}
	})
	return s
}

// plainBodies: with no retries, a test would see the connections that smithy-go makes net/http close.
var plainBodies = []func(*middleware.Stack) error{imagecacheaws.PlainBodies}

// connect makes clients that do not retry, so that a test sees each answer.
func connect(t *testing.T, s *awsemulator.Server, key, secret, token string) clients {
	t.Helper()
	c, err := config.LoadDefaultConfig(context.Background(),
		config.WithRegion(s.Region()), config.WithBaseEndpoint(s.URL()),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(key, secret, token)),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithAPIOptions(plainBodies),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	if err != nil {
		t.Fatal(err)
	}
	return clients{
		config: c, ecr: ecr.NewFromConfig(c), iam: iam.NewFromConfig(c), sts: sts.NewFromConfig(c),
		cfn: cloudformation.NewFromConfig(c), tags: resourcegroupstaggingapi.NewFromConfig(c), kms: kms.NewFromConfig(c),
	}
}

func root(t *testing.T, s *awsemulator.Server) clients {
	t.Helper()
	return connect(t, s, s.AccessKeyID(), s.SecretAccessKey(), "")
}

// code is the error code that an SDK call failed with, "" for nil.
func code(err error) string {
	if err == nil {
		return ""
	}
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return "not an API error: " + err.Error()
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("error code %q (%v), want %q", got, err, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// accountTrust lets every principal of the account that may, assume and tag.
func accountTrust(s *awsemulator.Server) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + s.AccountID() +
		`:root"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`
}

// role makes a role with one inline policy; "" is none.
func role(t *testing.T, s *awsemulator.Server, name, policy string) string {
	t.Helper()
	ctx, c := context.Background(), root(t, s)
	out, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(accountTrust(s))})
	if err != nil {
		t.Fatal(err)
	}
	if policy != "" {
		if _, err := c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("rights"), PolicyDocument: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	return *out.Role.Arn
}

// assume makes clients of a role's session.
func assume(t *testing.T, s *awsemulator.Server, by clients, in *sts.AssumeRoleInput) clients {
	t.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("test")
	}
	out, err := by.sts.AssumeRole(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, s, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

func password(t *testing.T, c clients) string {
	t.Helper()
	out, err := c.ecr.GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	_, p, _ := strings.Cut(string(raw), ":")
	return p
}

func allow(actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"}]}`
}

func sessionTag(k, v string) []ststypes.Tag {
	return []ststypes.Tag{{Key: aws.String(k), Value: aws.String(v)}}
}

func putPolicy(role, name, doc string) *iam.PutRolePolicyInput {
	return &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &doc}
}

func asError[T error](err error, into *T) bool { return errors.As(err, into) }

// remoteConfig is an image's configuration as a layer, for uploading it alone.
func remoteConfig(img v1.Image) (v1.Layer, error) {
	return partial.ConfigLayer(img)
}

var sortStrings = cmpopts.SortSlices(func(a, b string) bool { return a < b })
