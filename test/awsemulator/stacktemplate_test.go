package awsemulator_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ValidateTemplate.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplateSummary.html
func TestTemplatesAreSummed(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	valid := must(c.cfn.ValidateTemplate(ctx, &cloudformation.ValidateTemplateInput{TemplateBody: aws.String(runnerTemplate)}))
	summary := must(c.cfn.GetTemplateSummary(ctx, &cloudformation.GetTemplateSummaryInput{TemplateBody: aws.String(runnerTemplate)}))
	if *valid.Description != "a runner" || *summary.Description != "a runner" || *summary.Version != "2010-09-09" {
		t.Errorf("descriptions %v, %v, version %v", valid.Description, summary.Description, summary.Version)
	}
	reason := "The following resource(s) require capabilities: [AWS::IAM::ManagedPolicy, AWS::IAM::Role, AWS::IAM::Policy]"
	need := []types.Capability{types.CapabilityCapabilityNamedIam}
	if !cmp.Equal(valid.Capabilities, need) || !cmp.Equal(summary.Capabilities, need) || *valid.CapabilitiesReason != reason || *summary.CapabilitiesReason != reason {
		t.Errorf("capabilities %v because %v", valid.Capabilities, *valid.CapabilitiesReason)
	}
	if diff := cmp.Diff([]string{"AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::IAM::Policy"}, summary.ResourceTypes); diff != "" {
		t.Error(diff)
	}
	if ids := summary.ResourceIdentifierSummaries; len(ids) != 3 || ids[1].LogicalResourceIds[0] != "Controller" || ids[1].ResourceIdentifiers[0] != "RoleName" {
		t.Errorf("identifiers %+v", ids)
	}
	p := summary.Parameters
	if len(p) != 3 || *p[0].ParameterKey != "RunnerID" || p[0].DefaultValue != nil || !*p[1].NoEcho || *p[2].DefaultValue != "Core" || *p[2].ParameterType != "String" ||
		len(p[2].ParameterConstraints.AllowedValues) != 2 {
		t.Errorf("parameters %+v", p)
	}
	if v := valid.Parameters; len(v) != 3 || *v[2].ParameterKey != "Tier" || *v[2].DefaultValue != "Core" {
		t.Errorf("parameters %+v", v)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
func TestStackResourcesAreDescribed(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	id := must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: twoRepositories("one", "two")})).StackId
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("s"), TemplateBody: twoRepositories("one", "three")}))
	for name, in := range map[string]*cloudformation.DescribeStackResourcesInput{
		"name": {StackName: aws.String("s")}, "ID": {StackName: id}, "a resource": {PhysicalResourceId: aws.String("three")},
	} {
		got := must(c.cfn.DescribeStackResources(ctx, in)).StackResources
		if len(got) != 2 || got[0].ResourceStatus != types.ResourceStatusCreateComplete || got[1].ResourceStatus != types.ResourceStatusUpdateComplete || *got[1].PhysicalResourceId != "three" {
			t.Errorf("by %s: %+v", name, got)
		}
	}
	if got := must(c.cfn.ListStackResources(ctx, &cloudformation.ListStackResourcesInput{StackName: id})).StackResourceSummaries; len(got) != 2 || *got[0].LogicalResourceId != "A" {
		t.Errorf("list: %+v", got)
	}
	one := must(c.cfn.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: id, LogicalResourceId: aws.String("B")})).StackResourceDetail
	if *one.PhysicalResourceId != "three" || one.DriftInformation.StackResourceDriftStatus != types.StackResourceDriftStatusNotChecked {
		t.Errorf("one: %+v", one)
	}
	_, err := c.cfn.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: aws.String("s"), LogicalResourceId: aws.String("X")})
	if message(err) != "Resource X does not exist for stack s" {
		t.Error(err)
	}
	_, err = c.cfn.ListStackResources(ctx, &cloudformation.ListStackResourcesInput{StackName: aws.String("none")})
	if message(err) != "Stack with id none does not exist" {
		t.Error(err)
	}
}
