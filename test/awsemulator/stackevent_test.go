package awsemulator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// events are a stack's, oldest first, since the given number of events: "LogicalId STATUS reason".
func events(t *testing.T, c clients, name string, since int) (lines []string) {
	t.Helper()
	pages := cloudformation.NewDescribeStackEventsPaginator(c.cfn, &cloudformation.DescribeStackEventsInput{StackName: &name})
	ids := map[string]bool{}
	for pages.HasMorePages() {
		out, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.StackEvents {
			line := *e.LogicalResourceId + " " + string(e.ResourceStatus)
			if reason := aws.ToString(e.ResourceStatusReason); reason != "" {
				line += " " + reason
			}
			lines = append(lines, line)
			if ids[*e.EventId] {
				t.Errorf("event ID %s occurs twice", *e.EventId)
			}
			ids[*e.EventId] = true
		}
	}
	slices.Reverse(lines)
	return lines[since:]
}

func twoRepositories(first, second string) *string {
	return aws.String(fmt.Sprintf(`{"Resources":{
		"A":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":%q}},
		"B":{"Type":"AWS::ECR::Repository","DependsOn":"A","Properties":{"RepositoryName":%q}}}}`, first, second))
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
func TestStackEventsTellEachStep(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, StackDelay: time.Minute})
	c := root(t, s)
	name := aws.String("s")
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: name, TemplateBody: twoRepositories("one", "two")}))
	want := []string{
		"s CREATE_IN_PROGRESS User Initiated",
		"A CREATE_IN_PROGRESS", "A CREATE_IN_PROGRESS Resource creation Initiated", "A CREATE_COMPLETE",
		"B CREATE_IN_PROGRESS", "B CREATE_IN_PROGRESS Resource creation Initiated", "B CREATE_COMPLETE",
	}
	if diff := cmp.Diff(want, events(t, c, "s", 0)); diff != "" {
		t.Errorf("at first: %s", diff)
	}
	clock.Advance(time.Minute)
	want = append(want, "s CREATE_COMPLETE")
	if diff := cmp.Diff(want, events(t, c, "s", 0)); diff != "" {
		t.Errorf("created: %s", diff)
	}
	first := must(c.cfn.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: name})).StackEvents
	if *first[0].LogicalResourceId != "s" || *first[len(first)-2].PhysicalResourceId != "" || *first[len(first)-3].PhysicalResourceId != "one" ||
		!strings.Contains(*first[len(first)-2].ResourceProperties, `"RepositoryName":"one"`) {
		t.Errorf("not newest first, or not the IDs as they become known: %v", first)
	}

	n := len(want)
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: name, TemplateBody: aws.String(
		`{"Resources":{"A":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"three","ImageTagMutability":"IMMUTABLE"}}}}`)}))
	clock.Advance(time.Minute)
	want = []string{
		"s UPDATE_IN_PROGRESS User Initiated",
		"A UPDATE_IN_PROGRESS Requested update requires the creation of a new physical resource; hence creating one.",
		"A UPDATE_IN_PROGRESS Resource creation Initiated", "A UPDATE_COMPLETE",
		"s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
		"B DELETE_IN_PROGRESS", "B DELETE_COMPLETE", "A DELETE_IN_PROGRESS", "A DELETE_COMPLETE",
		"s UPDATE_COMPLETE",
	}
	if diff := cmp.Diff(want, events(t, c, "s", n)); diff != "" {
		t.Errorf("updated: %s", diff)
	}
	if diff := cmp.Diff([]string{"three"}, repositories(t, c)); diff != "" {
		t.Error(diff)
	}
	n += len(want)
	id := *describeStack(t, c, "s").StackId
	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: name}))
	clock.Advance(time.Minute)
	want = []string{"s DELETE_IN_PROGRESS User Initiated", "A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "s DELETE_COMPLETE"}
	if diff := cmp.Diff(want, events(t, c, id, n)); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
	// Its name is free.
	_, err := c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: name, TemplateBody: twoRepositories("one", "two")})
	wantCode(t, err, "")
	_, err = c.cfn.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: aws.String("none")})
	if message(err) != "Stack [none] does not exist" {
		t.Error(err)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
func TestStackEventsOfFailures(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("other"), TemplateBody: twoRepositories("taken", "used")}))
	same := func(name string, since int, want ...string) {
		t.Helper()
		got := events(t, c, name, since)
		for i, line := range got {
			if before, reason, ok := strings.Cut(line, " Resource handler returned message: "); ok {
				if !strings.Contains(reason, "already exists") || !strings.Contains(reason, "HandlerErrorCode: AlreadyExists") {
					t.Errorf("reason %q", reason)
				}
				got[i] = before + " (handler)"
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	made := []string{"A CREATE_IN_PROGRESS", "A CREATE_IN_PROGRESS Resource creation Initiated", "A CREATE_COMPLETE"}
	failed := []string{"B CREATE_IN_PROGRESS", "B CREATE_FAILED (handler)"}
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("bad"), TemplateBody: twoRepositories("one", "taken")}))
	same("bad", 0, slices.Concat([]string{"bad CREATE_IN_PROGRESS User Initiated"}, made, failed, []string{
		"bad ROLLBACK_IN_PROGRESS The following resource(s) failed to create: [B]. Rollback requested by user.",
		"A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "bad ROLLBACK_COMPLETE",
	})...)

	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: aws.String("kept"), TemplateBody: twoRepositories("kept", "taken"), OnFailure: types.OnFailureDoNothing,
	}))
	same("kept", 0, slices.Concat([]string{"kept CREATE_IN_PROGRESS User Initiated"}, made, failed, []string{
		"kept CREATE_FAILED The following resource(s) failed to create: [B]. ",
	})...)
	resources := must(c.cfn.ListStackResources(ctx, &cloudformation.ListStackResourcesInput{StackName: aws.String("kept")})).StackResourceSummaries
	if len(resources) != 2 || resources[0].ResourceStatus != types.ResourceStatusCreateComplete || resources[1].ResourceStatus != types.ResourceStatusCreateFailed {
		t.Errorf("resources %v", resources)
	}
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("kept"), TemplateBody: twoRepositories("kept", "free")}))
	if st := describeStack(t, c, "kept"); st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("mended: %s", st.StackStatus)
	}

	n := len(events(t, c, "kept", 0))
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("kept"), TemplateBody: twoRepositories("fresh", "taken")}))
	again := "Requested update requires the creation of a new physical resource; hence creating one."
	same("kept", n,
		"kept UPDATE_IN_PROGRESS User Initiated",
		"A UPDATE_IN_PROGRESS "+again, "A UPDATE_IN_PROGRESS Resource creation Initiated", "A UPDATE_COMPLETE",
		"B UPDATE_IN_PROGRESS "+again, "B UPDATE_FAILED (handler)",
		"kept UPDATE_ROLLBACK_IN_PROGRESS The following resource(s) failed to update: [B].",
		"kept UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "A DELETE_IN_PROGRESS", "A DELETE_COMPLETE",
		"kept UPDATE_ROLLBACK_COMPLETE",
	)
	if diff := cmp.Diff([]string{"free", "kept", "taken", "used"}, repositories(t, c), sortStrings); diff != "" {
		t.Error(diff)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html#stack-failure-options-conditions
func TestFailedUpdateWithoutRollbackIsTriedAgain(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	body := func(trust string) *string {
		return aws.String(`{"Resources":{"R":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"r","AssumeRolePolicyDocument":` + trust + `}}}}`)
	}
	caps := []types.Capability{types.CapabilityCapabilityNamedIam}
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), Capabilities: caps, TemplateBody: body(accountTrust(s))}))
	update := &cloudformation.UpdateStackInput{
		StackName: aws.String("s"), Capabilities: caps, DisableRollback: aws.Bool(true), TemplateBody: body(strings.Replace(accountTrust(s), ":root", ":role/later", 1)),
	}
	must(c.cfn.UpdateStack(ctx, update))
	resources := must(c.cfn.ListStackResources(ctx, &cloudformation.ListStackResourcesInput{StackName: aws.String("s")})).StackResourceSummaries
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusUpdateFailed || resources[0].ResourceStatus != types.ResourceStatusUpdateFailed {
		t.Errorf("stack %s, resource %s", st.StackStatus, resources[0].ResourceStatus)
	}
	role(t, s, "later", "")
	must(c.cfn.UpdateStack(ctx, update))
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusUpdateComplete || !strings.Contains(*getRole(t, c, "r").AssumeRolePolicyDocument, "later") {
		t.Errorf("again: %s", st.StackStatus)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
func TestRetainedResourcesStay(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	body := `{"Resources":{
		"A":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"first"}},
		"B":{"Type":"AWS::ECR::Repository","DependsOn":"A","DeletionPolicy":"Retain","Properties":{"RepositoryName":"kept"}},
		"C":{"Type":"AWS::ECR::Repository","DependsOn":"B","Properties":{"RepositoryName":"last"}}}}`
	id := *must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: &body})).StackId
	n := len(events(t, c, "s", 0))
	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("s")}))
	want := []string{
		"s DELETE_IN_PROGRESS User Initiated", "C DELETE_IN_PROGRESS", "C DELETE_COMPLETE", "B DELETE_SKIPPED", "A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "s DELETE_COMPLETE",
	}
	if diff := cmp.Diff(want, events(t, c, id, n)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"kept"}, repositories(t, c)); diff != "" {
		t.Error(diff)
	}
}

// An update changes what differs, and takes away what the template no longer has.
func TestUpdatesChangeWhatDiffers(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	body := func(more string) *string {
		return aws.String(`{"Resources":{"R":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"r","AssumeRolePolicyDocument":` + accountTrust(s) + more + `}}}}`)
	}
	caps := []types.Capability{types.CapabilityCapabilityNamedIam}
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: aws.String("s"), Capabilities: caps, Tags: stackTags("team", "dev", "cost", "1"), TemplateBody: body(`,"Description":"old","MaxSessionDuration":7200`),
	}))
	must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("s"), Capabilities: caps, Tags: stackTags("team", "dev"), TemplateBody: body(`,"Description":"new"`)}))
	got := getRole(t, c, "r")
	if *got.Description != "new" || *got.MaxSessionDuration != 3600 || len(got.Tags) != 1 || *got.Tags[0].Key != "team" {
		t.Errorf("description %q, %d s, tags %v", *got.Description, *got.MaxSessionDuration, got.Tags)
	}
	for name, in := range map[string]*cloudformation.UpdateStackInput{
		"another layout":    {TemplateBody: aws.String(strings.ReplaceAll(*body(`,"Description":"new"`), ":", ": "))},
		"another stack tag": {TemplateBody: body(`,"Description":"new"`), Tags: stackTags("team", "ops")},
	} {
		if name == "another layout" {
			in.TemplateBody = aws.String("\n" + *body(`,"Description":"new"`) + "\n")
		}
		in.StackName, in.Capabilities = aws.String("s"), caps
		_, err := c.cfn.UpdateStack(ctx, in)
		if refused := message(err) == "No updates are to be performed."; refused != (name == "another layout") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("s"), Capabilities: caps, TemplateBody: aws.String(`{"Resources":{"R":{"Type":"AWS::ECR::Repository"}}}`)})
	if message(err) != "Update of resource type is not permitted. The new template modifies resource type of the following resources: [R]" {
		t.Error(err)
	}
}

// What can't be removed stays, with all that it needs, and everything else goes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html
func TestDeleteStackGoesOnAfterAFailure(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	template := `
Resources:
  First: {Type: "AWS::ECR::Repository", Properties: {RepositoryName: first}}
  Base: {Type: "AWS::ECR::Repository", Properties: {RepositoryName: base}}
  Full: {Type: "AWS::ECR::Repository", DependsOn: Base, Properties: {RepositoryName: full}}
  Last: {Type: "AWS::ECR::Repository", Properties: {RepositoryName: last}}
`
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: &template}))
	pushImage(t, s, c, "full", "v1")
	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("s")}))
	clock.Advance(time.Minute)
	if diff := cmp.Diff([]string{"base", "full"}, repositories(t, c), sortStrings); diff != "" {
		t.Errorf("repositories left (-want +got):\n%s", diff)
	}
	found := describeStack(t, c, "s")
	if found.StackStatus != "DELETE_FAILED" || *found.StackStatusReason != "The following resource(s) failed to delete: [Full]. " {
		t.Errorf("the stack is %s: %s", found.StackStatus, aws.ToString(found.StackStatusReason))
	}
	must(c.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("full"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v1")}}}))
	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("s")}))
	clock.Advance(time.Minute)
	if left := repositories(t, c); len(left) != 0 {
		t.Errorf("repositories left by the second deletion: %v", left)
	}
}
