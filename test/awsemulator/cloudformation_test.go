package awsemulator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

const runnerTemplate = `
AWSTemplateFormatVersion: "2010-09-09"
Description: a runner
Parameters:
  RunnerID: {Type: String, AllowedPattern: "[a-z0-9-]+"}
  Tier: {Type: String, Default: Core, AllowedValues: [Free, Core]}
  Secret: {Type: String, NoEcho: "true", Default: hidden}
Conditions:
  Paid: !Not [!Equals [!Ref Tier, Free]]
Resources:
  Rights:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: ["ecr:*"]
            Resource: !Sub "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/gitpod-runner-${RunnerID}/*"
  Controller:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Join ["-", [controller, !Ref RunnerID]]
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Principal: {AWS: !Sub "arn:aws:iam::${AWS::AccountId}:root"}, Action: "sts:AssumeRole"}
      ManagedPolicyArns: [!Ref Rights]
      Description: !If [Paid, paid, !Ref "AWS::NoValue"]
  Extra:
    Type: AWS::IAM::Policy
    Condition: Paid
    Properties:
      PolicyName: extra
      Roles: [!Ref Controller]
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "ecr:GetAuthorizationToken", Resource: "*"}]}
Outputs:
  ImageCacheVersion: {Value: "1", Description: the template knows the cache}
  RoleArn: {Value: !GetAtt Controller.Arn, Export: {Name: !Sub "${AWS::StackName}-role"}}
  Note: {Value: !Sub ["${A}/${!B}/${Tier}", {A: !Select [1, [x, y]]}]}
`

func parameters(pairs ...string) (out []types.Parameter) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, types.Parameter{ParameterKey: aws.String(pairs[i]), ParameterValue: aws.String(pairs[i+1])})
	}
	return out
}

func stackTags(pairs ...string) (out []types.Tag) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
	}
	return out
}

func describeStack(t *testing.T, c clients, name string) types.Stack {
	t.Helper()
	out, err := c.cfn.DescribeStacks(context.Background(), &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Stacks[0]
}

func outputs(s types.Stack) map[string]string {
	m := map[string]string{}
	for _, o := range s.Outputs {
		m[*o.OutputKey] = *o.OutputValue
	}
	return m
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-view-stack-data-resources.html (status codes)
func TestStackMakesItsResourcesAndTellsItsOutputs(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, StackDelay: time.Minute, RootMayAssumeRoles: true})
	c := root(t, s)
	create := &cloudformation.CreateStackInput{
		StackName: aws.String("runner"), TemplateBody: aws.String(runnerTemplate), Parameters: parameters("RunnerID", "r1"),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam}, Tags: stackTags("team", "dev"),
	}
	must(c.cfn.CreateStack(ctx, create))
	if st := describeStack(t, c, "runner"); st.StackStatus != types.StackStatusCreateInProgress || len(st.Outputs) != 0 {
		t.Errorf("at first %s with %d outputs", st.StackStatus, len(st.Outputs))
	}
	_, err := c.cfn.CreateStack(ctx, create)
	wantCode(t, err, "AlreadyExistsException")
	_, err = c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("runner"), TemplateBody: create.TemplateBody})
	wantCode(t, err, "ValidationError")

	clock.Advance(time.Minute)
	st := describeStack(t, c, "runner")
	want := map[string]string{"ImageCacheVersion": "1", "RoleArn": "arn:aws:iam::123456789012:role/controller-r1", "Note": "y/${B}/Core"}
	if diff := cmp.Diff(want, outputs(st)); diff != "" || st.StackStatus != types.StackStatusCreateComplete {
		t.Errorf("%s: %s", st.StackStatus, diff)
	}
	if len(st.Tags) != 1 || *st.Tags[0].Key != "team" {
		t.Errorf("tags %v", st.Tags)
	}
	for _, p := range st.Parameters {
		if *p.ParameterKey == "Secret" && *p.ParameterValue != "****" {
			t.Errorf("a NoEcho parameter shows %q", *p.ParameterValue)
		}
	}
	role := must(c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("controller-r1")})).Role
	if *role.Description != "paid" || len(role.Tags) != 1 {
		t.Errorf("role %q with tags %v, want the stack's tags", *role.Description, role.Tags)
	}
	session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: role.Arn})
	_, err = session.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("gitpod-runner-r1/x")})
	wantCode(t, err, "")
	_, err = session.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("gitpod-runner-r2/x")})
	wantCode(t, err, "AccessDeniedException")
	_, err = session.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	wantCode(t, err, "")

	update := &cloudformation.UpdateStackInput{
		StackName: aws.String("runner"), TemplateBody: aws.String(strings.Replace(runnerTemplate, `Value: "1"`, `Value: "2"`, 1)), Parameters: parameters("RunnerID", "r1", "Tier", "Free"),
		Capabilities: create.Capabilities, Tags: stackTags("team", "ops"),
	}
	must(c.cfn.UpdateStack(ctx, update))
	clock.Advance(time.Minute)
	st = describeStack(t, c, "runner")
	if outputs(st)["ImageCacheVersion"] != "2" || st.StackStatus != types.StackStatusUpdateComplete || *st.Tags[0].Value != "ops" {
		t.Errorf("after the update: %s %v", st.StackStatus, outputs(st))
	}
	_, err = session.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	wantCode(t, err, "AccessDeniedException") // the conditional policy is gone
	_, err = c.cfn.UpdateStack(ctx, update)
	if err == nil || !strings.Contains(err.Error(), "No updates are to be performed") {
		t.Errorf("the same update again: %v", err)
	}

	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("runner")}))
	if st := describeStack(t, c, "runner"); st.StackStatus != types.StackStatusDeleteInProgress {
		t.Errorf("at first %s", st.StackStatus)
	}
	clock.Advance(time.Minute)
	_, err = c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("runner")})
	wantCode(t, err, "ValidationError")
	if st := describeStack(t, c, *st.StackId); st.StackStatus != types.StackStatusDeleteComplete {
		t.Errorf("by its ID: %s", st.StackStatus)
	}
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("controller-r1")})
	wantCode(t, err, "NoSuchEntity")
	_, err = c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("runner")})
	wantCode(t, err, "") // deleting what is gone is no error
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
func TestFailedStacksRollBack(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	role(t, s, "taken", "")
	template := func(second string) *string {
		return aws.String(`{"Resources":{
			"A":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"a","AssumeRolePolicyDocument":` + accountTrust(s) + `}},
			"B":{"Type":"AWS::IAM::Role","DependsOn":"A","Properties":{"RoleName":"` + second + `","AssumeRolePolicyDocument":` + accountTrust(s) + `}}}}`)
	}
	caps := []types.Capability{types.CapabilityCapabilityNamedIam}
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("bad"), TemplateBody: template("taken"), Capabilities: caps}))
	if st := describeStack(t, c, "bad"); st.StackStatus != types.StackStatusRollbackComplete {
		t.Errorf("%s: %v", st.StackStatus, st.StackStatusReason)
	}
	_, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("a")})
	wantCode(t, err, "NoSuchEntity")

	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("good"), TemplateBody: template("b"), Capabilities: caps}))
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("good"), TemplateBody: template("taken"), Capabilities: caps}))
	if st := describeStack(t, c, "good"); st.StackStatus != types.StackStatusUpdateRollbackComplete {
		t.Errorf("%s", st.StackStatus)
	}
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("b")})
	wantCode(t, err, "")
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("gone"), TemplateBody: aws.String(strings.ReplaceAll(*template("taken"), `"a"`, `"a2"`)), Capabilities: caps, OnFailure: types.OnFailureDelete}))
	_, err = c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("gone")})
	wantCode(t, err, "ValidationError")
}

func TestCreateStackValidates(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	handle := "Resources: {H: {Type: 'AWS::CloudFormation::WaitConditionHandle'}}\n"
	for _, tc := range []struct {
		name, want string
		in         cloudformation.CreateStackInput
	}{
		{"name with an underscore", "ValidationError", cloudformation.CreateStackInput{StackName: aws.String("a_b"), TemplateBody: &handle}},
		{"no template", "ValidationError", cloudformation.CreateStackInput{}},
		{"no resources", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String("Outputs: {}")}},
		{"no YAML", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String("{")}},
		{"missing parameter", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String(runnerTemplate), Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam}}},
		{"unknown parameter", "ValidationError", cloudformation.CreateStackInput{TemplateBody: &handle, Parameters: parameters("X", "1")}},
		{"value that is not allowed", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String(runnerTemplate), Parameters: parameters("RunnerID", "r", "Tier", "Gold")}},
		{"value that does not match", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String(runnerTemplate), Parameters: parameters("RunnerID", "R!")}},
		{"no capability", "InsufficientCapabilitiesException", cloudformation.CreateStackInput{TemplateBody: aws.String(runnerTemplate), Parameters: parameters("RunnerID", "r")}},
		{"named roles with the lesser capability", "InsufficientCapabilitiesException", cloudformation.CreateStackInput{TemplateBody: aws.String(runnerTemplate), Parameters: parameters("RunnerID", "r"), Capabilities: []types.Capability{types.CapabilityCapabilityIam}}},
		{"resource that is not emulated", "NotEmulatedException", cloudformation.CreateStackInput{TemplateBody: aws.String("Resources: {B: {Type: 'AWS::S3::Bucket'}}")}},
		{"template in S3", "NotEmulatedException", cloudformation.CreateStackInput{TemplateURL: aws.String("https://example.com/t.yaml")}},
		{"51,201 bytes", "ValidationError", cloudformation.CreateStackInput{TemplateBody: aws.String(handle + strings.Repeat("#", 51_201))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.StackName == nil {
				tc.in.StackName = aws.String("new")
			}
			_, err := c.cfn.CreateStack(ctx, &tc.in)
			wantCode(t, err, tc.want)
		})
	}
}
