package awsemulator_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imagecache.dev/test/awsemulator"
)

func getRole(t *testing.T, c clients, name string) *iamtypes.Role {
	t.Helper()
	out, err := c.iam.GetRole(context.Background(), &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Role
}

func describeChangeSet(t *testing.T, c clients, id string) *cloudformation.DescribeChangeSetOutput {
	t.Helper()
	out, err := c.cfn.DescribeChangeSet(context.Background(), &cloudformation.DescribeChangeSetInput{ChangeSetName: &id})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
// The steps are those of "aws cloudformation deploy".
func TestChangeSetsMakeAndChangeAStack(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	c := root(t, start(t, awsemulator.Options{Clock: clock, StackDelay: time.Minute}))
	name := aws.String("s")
	create := &cloudformation.CreateChangeSetInput{
		StackName: name, ChangeSetName: aws.String("first"), ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: aws.String(runnerTemplate),
		Parameters: parameters("RunnerID", "r1"), Description: aws.String("by hand"), Tags: stackTags("team", "dev"),
	}
	_, err := c.cfn.CreateChangeSet(ctx, create)
	wantCode(t, err, "InsufficientCapabilitiesException")
	create.Capabilities = []types.Capability{types.CapabilityCapabilityNamedIam}
	first := must(c.cfn.CreateChangeSet(ctx, create))
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusReviewInProgress || aws.ToString(st.StackStatusReason) != "User Initiated" ||
		len(st.Parameters) != 0 || *st.StackId != *first.StackId {
		t.Errorf("the stack: %+v", st)
	}
	if cs := describeChangeSet(t, c, *first.Id); cs.Status != types.ChangeSetStatusCreateInProgress || cs.ExecutionStatus != types.ExecutionStatusUnavailable {
		t.Errorf("at first %s, %s", cs.Status, cs.ExecutionStatus)
	}
	clock.Advance(time.Minute)
	cs := describeChangeSet(t, c, *first.Id)
	if cs.Status != types.ChangeSetStatusCreateComplete || cs.ExecutionStatus != types.ExecutionStatusAvailable || *cs.Description != "by hand" ||
		len(cs.Parameters) != 3 || len(cs.Tags) != 1 || *cs.ChangeSetName != "first" {
		t.Errorf("change set %+v", cs)
	}
	for i, id := range []string{"Rights", "Controller", "Extra"} {
		if r := cs.Changes[i].ResourceChange; r.Action != types.ChangeActionAdd || *r.LogicalResourceId != id {
			t.Errorf("change %d: %+v, want Add of %s", i, r, id)
		}
	}
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("controller-r1")})
	wantCode(t, err, "NoSuchEntity") // it is but a proposal
	must(c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: name, ChangeSetName: aws.String("first"), DisableRollback: aws.Bool(false)}))
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusCreateInProgress {
		t.Errorf("at first %s", st.StackStatus)
	}
	clock.Advance(time.Minute)
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusCreateComplete || *st.ChangeSetId != *first.Id || *st.StackId != *first.StackId ||
		outputs(st)["ImageCacheVersion"] != "1" || len(st.Tags) != 1 {
		t.Errorf("the stack: %+v", st)
	}
	if got := events(t, c, "s", 0)[:2]; got[0] != "s REVIEW_IN_PROGRESS User Initiated" || got[1] != "s CREATE_IN_PROGRESS User Initiated" {
		t.Errorf("events %q", got)
	}

	summary := must(c.cfn.GetTemplateSummary(ctx, &cloudformation.GetTemplateSummaryInput{StackName: name}))
	if len(summary.Parameters) != 3 {
		t.Errorf("summary %+v", summary)
	}
	update := *create
	update.ChangeSetName, update.ChangeSetType = aws.String("same"), types.ChangeSetTypeUpdate
	same := must(c.cfn.CreateChangeSet(ctx, &update))
	clock.Advance(time.Minute)
	if cs := describeChangeSet(t, c, *same.Id); cs.Status != types.ChangeSetStatusFailed || cs.ExecutionStatus != types.ExecutionStatusUnavailable ||
		*cs.StatusReason != "The submitted information didn't contain changes. Submit different information to create a change set." {
		t.Errorf("without changes: %s, %s, %s", cs.Status, cs.ExecutionStatus, aws.ToString(cs.StatusReason))
	}
	_, err = c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: same.Id})
	if code(err) != "InvalidChangeSetStatus" || message(err) != "ChangeSet ["+*same.Id+"] cannot be executed in its current status of [FAILED]" {
		t.Error(err)
	}
	update.ChangeSetName, update.Parameters = aws.String("free"), parameters("RunnerID", "r2", "Tier", "Free")
	free := must(c.cfn.CreateChangeSet(ctx, &update))
	clock.Advance(time.Minute)
	summaries := must(c.cfn.ListChangeSets(ctx, &cloudformation.ListChangeSetsInput{StackName: name})).Summaries
	if len(summaries) != 2 {
		t.Errorf("%d change sets, want those that wait and failed", len(summaries))
	}
	must(c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: free.Id}))
	clock.Advance(time.Minute)
	if st := describeStack(t, c, "s"); st.StackStatus != types.StackStatusUpdateComplete || *st.ChangeSetId != *free.Id {
		t.Errorf("%s by %s", st.StackStatus, *st.ChangeSetId)
	}
	getRole(t, c, "controller-r2")
	_, err = c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("controller-r1")})
	wantCode(t, err, "NoSuchEntity") // its replacement has its place
	_, err = c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: same.Id})
	wantCode(t, err, "ChangeSetNotFound") // the others go with the execution of one
	if cs := describeChangeSet(t, c, *free.Id); cs.ExecutionStatus != types.ExecutionStatusExecuteComplete {
		t.Errorf("executed: %s", cs.ExecutionStatus)
	}
	if got := *must(c.cfn.GetTemplate(ctx, &cloudformation.GetTemplateInput{ChangeSetName: free.Id})).TemplateBody; got != runnerTemplate {
		t.Errorf("its template is %q", got)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
func TestChangeSetsTellWhatWouldChange(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	body := func(mutability, name string) *string {
		return aws.String(`{"Parameters":{"P":{"Type":"String","Default":"one"},"M":{"Type":"String","Default":"MUTABLE"}},"Resources":{
			"Static":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"static","ImageTagMutability":"` + mutability + `"}},
			"Parameter":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"parameter","ImageTagMutability":{"Ref":"M"}}},
			"Replaced":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":{"Ref":"P"}}},
			"Follows":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":{"Fn::Sub":"${Replaced}-x"}}},
			"` + name + `":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":"` + name + `x"}}}}`)
	}
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: body("MUTABLE", "gone")}))
	id := must(c.cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
		StackName: aws.String("s"), ChangeSetName: aws.String("c"), TemplateBody: body("IMMUTABLE", "fresh"), Parameters: parameters("P", "two", "M", "IMMUTABLE"),
	})).Id
	detail := func(name string, recreation types.RequiresRecreation, evaluation types.EvaluationType, source types.ChangeSource, cause string) types.ResourceChangeDetail {
		d := types.ResourceChangeDetail{
			Target:     &types.ResourceTargetDefinition{Attribute: types.ResourceAttributeProperties, Name: &name, RequiresRecreation: recreation},
			Evaluation: evaluation, ChangeSource: source,
		}
		if cause != "" {
			d.CausingEntity = &cause
		}
		return d
	}
	modify := func(id, physical string, replacement types.Replacement, details ...types.ResourceChangeDetail) types.ResourceChange {
		return types.ResourceChange{
			Action: types.ChangeActionModify, LogicalResourceId: &id, PhysicalResourceId: &physical, ResourceType: aws.String("AWS::ECR::Repository"),
			Replacement: replacement, Scope: []types.ResourceAttribute{types.ResourceAttributeProperties}, Details: details,
		}
	}
	want := []types.ResourceChange{
		modify("Static", "static", types.ReplacementFalse,
			detail("ImageTagMutability", types.RequiresRecreationNever, types.EvaluationTypeStatic, types.ChangeSourceDirectModification, "")),
		modify("Parameter", "parameter", types.ReplacementFalse,
			detail("ImageTagMutability", types.RequiresRecreationNever, types.EvaluationTypeStatic, types.ChangeSourceParameterReference, "M"),
			detail("ImageTagMutability", types.RequiresRecreationNever, types.EvaluationTypeDynamic, types.ChangeSourceDirectModification, "")),
		modify("Replaced", "one", types.ReplacementTrue,
			detail("RepositoryName", types.RequiresRecreationAlways, types.EvaluationTypeStatic, types.ChangeSourceParameterReference, "P"),
			detail("RepositoryName", types.RequiresRecreationAlways, types.EvaluationTypeDynamic, types.ChangeSourceDirectModification, "")),
		modify("Follows", "one-x", types.ReplacementConditional,
			detail("RepositoryName", types.RequiresRecreationAlways, types.EvaluationTypeDynamic, types.ChangeSourceResourceReference, "Replaced")),
		{Action: types.ChangeActionAdd, LogicalResourceId: aws.String("fresh"), ResourceType: aws.String("AWS::ECR::Repository")},
		{Action: types.ChangeActionRemove, LogicalResourceId: aws.String("gone"), PhysicalResourceId: aws.String("gonex"), ResourceType: aws.String("AWS::ECR::Repository")},
	}
	var got []types.ResourceChange
	for _, change := range describeChangeSet(t, c, *id).Changes {
		got = append(got, *change.ResourceChange)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(types.ResourceChange{}, types.ResourceChangeDetail{}, types.ResourceTargetDefinition{})); diff != "" {
		t.Error(diff)
	}
	must(c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: id}))
	if diff := cmp.Diff([]string{"static", "parameter", "two", "two-x", "freshx"}, repositories(t, c), sortStrings); diff != "" {
		t.Error(diff)
	}
}

func TestChangeSetsAreRefused(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("there"), TemplateBody: twoRepositories("one", "two")}))
	change := func(stack, name string, kind types.ChangeSetType) error {
		_, err := c.cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
			StackName: &stack, ChangeSetName: &name, ChangeSetType: kind, TemplateBody: twoRepositories("three", "four"),
		})
		return err
	}
	wantCode(t, change("review", "c", types.ChangeSetTypeCreate), "")
	wantCode(t, change("review", "d", types.ChangeSetTypeCreate), "") // a stack can have several
	describe := func(stack, name *string) error {
		_, err := c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: stack, ChangeSetName: name})
		return err
	}
	_, summary := c.cfn.GetTemplateSummary(ctx, &cloudformation.GetTemplateSummaryInput{StackName: aws.String("review")})
	for _, tc := range []struct {
		name       string
		err        error
		code, want string
	}{
		{"to make a stack that exists", change("there", "c", types.ChangeSetTypeCreate), "ValidationError", "Stack [there] already exists and cannot be created again with the changeSet [c]."},
		{"to change one that does not", change("none", "c", types.ChangeSetTypeUpdate), "ValidationError", "Stack [none] does not exist"},
		{"the same name", change("review", "c", types.ChangeSetTypeCreate), "AlreadyExistsException", "ChangeSet [c] already exists"},
		{"a name with an underscore", change("there", "a_b", types.ChangeSetTypeUpdate), "ValidationError", "1 validation error detected: Value 'a_b' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"},
		{"import", change("there", "c", types.ChangeSetTypeImport), "NotEmulatedException", "ChangeSetType IMPORT is not emulated; docs/emulator.md lists what is"},
		{"a name alone", describe(nil, aws.String("c")), "ValidationError", "StackName must be specified if ChangeSetName is not specified as an ARN."},
		{"of no stack", describe(aws.String("none"), aws.String("c")), "ValidationError", "Stack [none] does not exist"},
		{"no such name", describe(aws.String("there"), aws.String("c")), "ChangeSetNotFound", "ChangeSet [c] does not exist"},
		{"summary of nothing yet", summary, "ValidationError", "GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks."},
	} {
		if code(tc.err) != tc.code || message(tc.err) != tc.want {
			t.Errorf("%s: %v, want %s: %s", tc.name, tc.err, tc.code, tc.want)
		}
	}
	must(c.cfn.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: aws.String("review"), ChangeSetName: aws.String("d")}))
	wantCode(t, describe(aws.String("review"), aws.String("d")), "ChangeSetNotFound")
	_, err := c.cfn.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: aws.String("review"), ChangeSetName: aws.String("d")})
	wantCode(t, err, "")

	// CreateStack takes the place of a stack under review, and its change sets are of no use any more.
	under := describeStack(t, c, "review")
	if id := must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("review"), TemplateBody: twoRepositories("five", "six")})).StackId; *id != *under.StackId {
		t.Errorf("another stack: %s", *id)
	}
	if cs := must(c.cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: aws.String("review"), ChangeSetName: aws.String("c")})); cs.ExecutionStatus != types.ExecutionStatusObsolete {
		t.Errorf("execution status %s", cs.ExecutionStatus)
	}
	_, err = c.cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("review"), ChangeSetName: aws.String("c")})
	wantCode(t, err, "InvalidChangeSetStatus")
}
