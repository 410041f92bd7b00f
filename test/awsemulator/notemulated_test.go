package awsemulator_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"imagecache.dev/test/awsemulator"
)

// What docs/emulator.md leaves out gets a clear error that names it, never an empty success and never an error that an
// account could mend.
func TestWhatIsNotEmulatedSaysSo(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c, ctx := root(t, s), t.Context()
	createRepository(t, c, "app")
	failed := func(_ any, err error) error { return err }
	role := aws.String("arn:aws:iam::123456789012:role/provider")
	for name, err := range map[string]error{
		"ecr:GetSigningConfiguration":    failed(c.ecr.GetSigningConfiguration(ctx, &ecr.GetSigningConfigurationInput{})),
		"ecr:DescribeImageSigningS":      failed(c.ecr.DescribeImageSigningStatus(ctx, &ecr.DescribeImageSigningStatusInput{RepositoryName: aws.String("app"), ImageId: &ecrtypes.ImageIdentifier{ImageTag: aws.String("v1")}})),
		"ecr:CreatePullThroughCacheRu":   failed(c.ecr.CreatePullThroughCacheRule(ctx, &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("hub"), UpstreamRegistryUrl: aws.String("public.ecr.aws")})),
		"a manifest of schema version 1": failed(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: aws.String(`{"schemaVersion":1}`)})),
		"account setting":                failed(c.ecr.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String("BASIC_SCAN_TYPE_VERSION"), Value: aws.String("AWS_NATIVE")})),
		"replication to another": failed(c.ecr.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &ecrtypes.ReplicationConfiguration{
			Rules: []ecrtypes.ReplicationRule{{Destinations: []ecrtypes.ReplicationDestination{{Region: aws.String("us-west-2"), RegistryId: aws.String("999999999999")}}}},
		}})),
		"iam:ListUsers":                 failed(c.iam.ListUsers(ctx, &iam.ListUsersInput{})),
		"iam:CreateAccessKey":           failed(c.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})),
		"iam:CreateServiceLinkedRole":   failed(c.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("inspector2.amazonaws.com")})),
		"sts:AssumeRoleWithWebIdentity": failed(c.sts.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role, RoleSessionName: aws.String("me"), WebIdentityToken: aws.String("token")})),
		"sts:AssumeRoleWithSAML":        failed(c.sts.AssumeRoleWithSAML(ctx, &sts.AssumeRoleWithSAMLInput{RoleArn: role, PrincipalArn: role, SAMLAssertion: aws.String("assertion")})),
		"parameter SerialNumber":        failed(c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("me"), SerialNumber: aws.String("arn:aws:iam::123456789012:mfa/me"), TokenCode: aws.String("123456")})),
		"kms:Encrypt":                   failed(c.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("key"), Plaintext: []byte("text")})),
		"key spec RSA_2048":             failed(c.kms.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecRsa2048, KeyUsage: kmstypes.KeyUsageTypeSignVerify})),
		"tagging:TagResources":          failed(c.tags.TagResources(ctx, &resourcegroupstaggingapi.TagResourcesInput{ResourceARNList: []string{*role}, Tags: map[string]string{"a": "b"}})),
		"resource type s3":              failed(c.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"s3"}})),
		"parameter ExcludeCompliantR":   failed(c.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ExcludeCompliantResources: aws.Bool(true)})),
		"cloudformation:DetectStackDri": failed(c.cfn.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: aws.String("s")})),
		"parameter IncludePropertyV":    failed(c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: aws.String("c"), StackName: aws.String("s"), IncludePropertyValues: aws.Bool(true)})),
		"a signature in the query": failed(c.ecr.DescribeRegistry(ctx, nil, func(o *ecr.Options) {
			o.APIOptions = append(o.APIOptions, signedWith(func(r *smithyhttp.Request) {
				r.Header.Del("Authorization")
				r.URL.RawQuery = url.Values{"X-Amz-Signature": {"00"}}.Encode()
			}))
		})),
		"the signature algorithm AWS4-ECDSA": failed(c.ecr.DescribeRegistry(ctx, nil, func(o *ecr.Options) {
			o.APIOptions = append(o.APIOptions, signedWith(func(r *smithyhttp.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "HMAC", "ECDSA-P256", 1))
			}))
		})),
		"a body that is signed in chunks": failed(c.ecr.DescribeRegistry(ctx, nil, func(o *ecr.Options) {
			o.APIOptions = append(o.APIOptions, v4.AddContentSHA256HeaderMiddleware, signedWith(func(r *smithyhttp.Request) {
				r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
			}))
		})),
	} {
		wantNotEmulated(t, name, err)
	}
}

// signedWith changes a request after it was signed.
func signedWith(change func(*smithyhttp.Request)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("change", func(
			ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			change(in.Request.(*smithyhttp.Request))
			return next.HandleFinalize(ctx, in)
		}), middleware.After)
	}
}

func wantNotEmulated(t *testing.T, what string, err error) {
	t.Helper()
	if code(err) != "NotEmulatedException" || !strings.HasPrefix(message(err), what) || !strings.Contains(message(err), "docs/emulator.md") {
		t.Errorf("%s: %v", what, err)
	}
}

// Nothing that a template asks for is ignored.
func TestWhatOfTemplatesIsNotEmulatedSaysSo(t *testing.T) {
	c, ctx := root(t, start(t, awsemulator.Options{})), t.Context()
	const handle = "Resources: {H: {Type: 'AWS::CloudFormation::WaitConditionHandle'}}\n"
	named := func(name string) string {
		return "Resources: {R: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: " + name + "}}}\n"
	}
	for what, in := range map[string]cloudformation.CreateStackInput{
		"the resource type AWS::CloudFormation::Stack": {TemplateBody: aws.String("Resources: {S: {Type: 'AWS::CloudFormation::Stack'}}")},
		"the resource type Custom::Thing":              {TemplateBody: aws.String("Resources: {S: {Type: 'Custom::Thing'}}")},
		"the section Transform":                        {TemplateBody: aws.String("Transform: AWS::LanguageExtensions\n" + handle)},
		"the section Rules":                            {TemplateBody: aws.String("Rules: {}\n" + handle)},
		"the function Fn::Base64":                      {TemplateBody: aws.String(named("!Base64 x"))},
		"the function Fn::GetAZs":                      {TemplateBody: aws.String(named("!Select [0, !GetAZs '']"))},
		"the function Fn::Transform":                   {TemplateBody: aws.String(named("{'Fn::Transform': {Name: x}}"))},
		"the function Fn::Contains":                    {TemplateBody: aws.String("Conditions: {C: {'Fn::Contains': [[a], a]}}\n" + handle)},
		"MinLength of a parameter":                     {TemplateBody: aws.String("Parameters: {P: {Type: String, MinLength: 3}}\n" + handle)},
		"the parameter type AWS::SSM":                  {TemplateBody: aws.String("Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>'}}\n" + handle)},
		"the attribute UpdatePolicy":                   {TemplateBody: aws.String(strings.Replace(handle, "Type:", "UpdatePolicy: {}, Type:", 1))},
		"parameter TemplateURL":                        {TemplateURL: aws.String("https://example.com/t.yaml")},
		"parameter RoleARN":                            {TemplateBody: aws.String(handle), RoleARN: aws.String("arn:aws:iam::123456789012:role/service")},
		"parameter StackPolicyBody":                    {TemplateBody: aws.String(handle), StackPolicyBody: aws.String("{}")},
		"parameter EnableTerminationProtection":        {TemplateBody: aws.String(handle), EnableTerminationProtection: aws.Bool(true)},
		"parameter NotificationARNs":                   {TemplateBody: aws.String(handle), NotificationARNs: []string{"arn:aws:sns:us-east-1:123456789012:t"}},
		"parameter RollbackConfiguration":              {TemplateBody: aws.String(handle), RollbackConfiguration: &cfntypes.RollbackConfiguration{MonitoringTimeInMinutes: aws.Int32(1)}},
	} {
		in.StackName = aws.String("new")
		_, err := c.cfn.CreateStack(ctx, &in)
		wantNotEmulated(t, what, err)
	}
	stacks := must(c.cfn.ListStacks(ctx, nil))
	if len(stacks.StackSummaries) > 0 {
		t.Errorf("%d stacks were made", len(stacks.StackSummaries))
	}
}
