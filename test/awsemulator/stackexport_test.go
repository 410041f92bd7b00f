package awsemulator_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
func TestExportsInUseStayAsTheyAre(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	handle := "Resources: {H: {Type: 'AWS::CloudFormation::WaitConditionHandle'}}\n"
	exporter := func(value string) *string {
		return aws.String(handle + "Outputs: {O: {Value: " + value + ", Export: {Name: !Sub '${AWS::StackName}-name'}}}\n")
	}
	importer := aws.String("Resources: {R: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !ImportValue {'Fn::Sub': 'base-name'}}}}\n")
	create := func(name string, body *string) types.Stack {
		must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: &name, TemplateBody: body}))
		return describeStack(t, c, name)
	}
	update := func(body *string) types.Stack {
		must(c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("base"), TemplateBody: body}))
		return describeStack(t, c, "base")
	}
	mentions := func(name, reason string) {
		t.Helper()
		if all := strings.Join(events(t, c, name, 0), "\n"); !strings.Contains(all, reason) {
			t.Errorf("no event of %s says %q: %s", name, reason, all)
		}
	}
	if st := create("early", importer); st.StackStatus != types.StackStatusRollbackComplete {
		t.Errorf("import of nothing: %s", st.StackStatus)
	}
	mentions("early", "early ROLLBACK_IN_PROGRESS No export named base-name found. Rollback requested by user.")

	base := create("base", exporter("shared"))
	_, err := c.cfn.ListImports(ctx, &cloudformation.ListImportsInput{ExportName: aws.String("base-name")})
	if code(err) != "ValidationError" || message(err) != "Export 'base-name' is not imported by any stack." {
		t.Error(err)
	}
	create("user", importer)
	if diff := cmp.Diff([]string{"shared"}, repositories(t, c)); diff != "" {
		t.Error(diff)
	}
	exports := must(c.cfn.ListExports(ctx, &cloudformation.ListExportsInput{})).Exports
	if len(exports) != 1 || *exports[0].Name != "base-name" || *exports[0].Value != "shared" || *exports[0].ExportingStackId != *base.StackId {
		t.Errorf("exports %+v", exports)
	}
	if diff := cmp.Diff([]string{"user"}, must(c.cfn.ListImports(ctx, &cloudformation.ListImportsInput{ExportName: aws.String("base-name")})).Imports); diff != "" {
		t.Error(diff)
	}
	if st := create("second", aws.String(strings.ReplaceAll(*exporter("x"), "${AWS::StackName}", "base"))); st.StackStatus != types.StackStatusRollbackComplete {
		t.Errorf("the same name: %s", st.StackStatus)
	}
	mentions("second", "Export with name base-name is already exported by stack base")
	if st := update(exporter("other")); st.StackStatus != types.StackStatusUpdateRollbackComplete || outputs(st)["O"] != "shared" {
		t.Errorf("another value: %s, %v", st.StackStatus, outputs(st))
	}
	mentions("base", "Export base-name cannot be updated as it is in use by user")
	if st := update(&handle); st.StackStatus != types.StackStatusUpdateRollbackComplete {
		t.Errorf("without it: %s", st.StackStatus)
	}
	must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("base")}))
	if st := describeStack(t, c, "base"); st.StackStatus != types.StackStatusUpdateRollbackComplete ||
		*st.StackStatusReason != "Delete canceled. Cannot delete export base-name as it is in use by user." {
		t.Errorf("deleted: %s, %s", st.StackStatus, aws.ToString(st.StackStatusReason))
	}
	for _, name := range []string{"user", "base"} {
		must(c.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}))
		_, err := c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
		wantCode(t, err, "ValidationError")
	}
}
