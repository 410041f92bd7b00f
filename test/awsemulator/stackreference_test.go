package awsemulator_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// message is what an API error says.
func message(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorMessage()
	}
	return ""
}

// repositories are the names of all repositories.
func repositories(t *testing.T, c clients) (names []string) {
	t.Helper()
	out, err := c.ecr.DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.Repositories {
		names = append(names, *r.RepositoryName)
	}
	return names
}

const never = "Parameters: {On: {Type: String, Default: 'no'}}\nConditions: {Never: !Equals [!Ref On, 'yes']}\n"

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/conditions-section-structure.html
func TestResourceWithAFalseConditionIsNotMade(t *testing.T) {
	unresolved := func(block, names string) string {
		return "Template format error: Unresolved resource dependencies [" + names + "] in the " + block + " block of the template"
	}
	absent := "  A: {Type: 'AWS::ECR::Repository', Condition: Never, Properties: {RepositoryName: absent}}\n"
	for _, tc := range []struct {
		name, resources, want string
		made                  []string
	}{
		{name: "nobody names it", resources: "  Z: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: zz}}\n", made: []string{"zz"}},
		{name: "DependsOn", resources: "  Z: {Type: 'AWS::ECR::Repository', DependsOn: A, Properties: {RepositoryName: zz}}\n", made: []string{"zz"}},
		{name: "DependsOn in a list", resources: "  Y: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: yy}}\n" +
			"  Z: {Type: 'AWS::ECR::Repository', DependsOn: [A, Y], Properties: {RepositoryName: zz}}\n", made: []string{"yy", "zz"}},
		{name: "a branch that is not taken", resources: "  Z: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !If [Never, !Ref A, zz]}}\n", made: []string{"zz"}},
		{name: "another resource that does not exist", resources: "  B: {Type: 'AWS::ECR::Repository', Condition: Never, Properties: {RepositoryName: !Ref A}}\n" +
			"  Z: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: zz}}\n", made: []string{"zz"}},
		{name: "an output that does not exist", resources: "  Z: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: zz}}\n" +
			"Outputs: {O: {Condition: Never, Value: !GetAtt A.Arn}}\n", made: []string{"zz"}},
		{name: "Ref", resources: "  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !Ref A}}\n", want: unresolved("Resources", "A")},
		{name: "GetAtt", resources: "  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !GetAtt A.Arn}}\n", want: unresolved("Resources", "A")},
		{name: "Sub", resources: "  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !Sub 'x-${A}'}}\n", want: unresolved("Resources", "A")},
		{name: "Sub of an attribute", resources: "  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !Sub 'x-${A.Arn}'}}\n", want: unresolved("Resources", "A")},
		{name: "the branch that is taken", resources: "  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !If [Never, zz, !Ref A]}}\n", want: unresolved("Resources", "A")},
		{name: "output", resources: "  Z: {Type: 'AWS::ECR::Repository'}\nOutputs: {O: {Value: !Ref A}}\n", want: unresolved("Outputs", "A")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := context.Background()
			c := root(t, start(t, awsemulator.Options{}))
			body := never + "Resources:\n" + absent + tc.resources
			_, err := c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: &body})
			if message(err) != tc.want {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if diff := cmp.Diff(tc.made, repositories(t, c)); diff != "" {
				t.Errorf("repositories: %s", diff)
			}
			_, err = c.cfn.ValidateTemplate(ctx, &cloudformation.ValidateTemplateInput{TemplateBody: &body})
			wantCode(t, err, "") // it knows no parameters, and so decides no condition
			if tc.want != "" {
				return
			}
			// With another parameter the resource exists; without it again, it goes.
			for _, on := range []string{"yes", "no"} {
				update := &cloudformation.UpdateStackInput{StackName: aws.String("s"), UsePreviousTemplate: aws.Bool(true), Parameters: parameters("On", on)}
				if strings.Contains(tc.resources, "!Ref A") {
					continue // a repository would get the name of another
				}
				must(c.cfn.UpdateStack(ctx, update))
				if has := strings.Contains(strings.Join(repositories(t, c), " "), "absent"); has != (on == "yes") {
					t.Errorf("On=%s: the resource exists: %t", on, has)
				}
			}
		})
	}
}

// The messages are those that AWS answers, as its users report them.
func TestTemplatesThatNoParametersMakeRightAreRefused(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	ok := "Resources: {R: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: rr}}}\n"
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("there"), TemplateBody: &ok}))
	repository := func(id, name string) string {
		return "  " + id + ": {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: " + name + "}}\n"
	}
	for _, tc := range []struct{ name, body, want string }{
		{"Ref to nothing", "Resources:\n" + repository("M", "!Ref X"), "Template format error: Unresolved resource dependencies [X] in the Resources block of the template"},
		{"several", "Resources:\n" + repository("M", "!Sub '${X}${Y}${X}'"), "Template format error: Unresolved resource dependencies [X, Y] in the Resources block of the template"},
		{"DependsOn nothing", "Resources: {M: {Type: 'AWS::ECR::Repository', DependsOn: X}}", "Template format error: Unresolved resource dependencies [X] in the Resources block of the template"},
		{"Ref to nothing in a branch that is not taken", never + "Resources:\n" + repository("M", "!If [Never, !Ref X, y]"), "Template format error: Unresolved resource dependencies [X] in the Resources block of the template"},
		{"output of nothing", ok + "Outputs: {O: {Value: !Ref X}}", "Template format error: Unresolved resource dependencies [X] in the Outputs block of the template"},
		{"GetAtt of nothing", "Resources:\n" + repository("M", "!GetAtt X.Arn"), "Template error: instance of Fn::GetAtt references undefined resource X"},
		{"GetAtt of no attribute", "Resources:\n" + repository("M", "m") + repository("N", "!GetAtt M.Colour"), "Template error: resource M does not support attribute type Colour in Fn::GetAtt"},
		{"output of no attribute", ok + "Outputs: {O: {Value: !GetAtt R.Colour}}", "Template error: resource R does not support attribute type Colour in Fn::GetAtt"},
		{"Sub of nothing's attribute", "Resources:\n" + repository("M", "!Sub '${X.Arn}'"), "Template error: instance of Fn::Sub references invalid resource attribute X.Arn"},
		{"circle", "Resources:\n" + repository("M", "!Ref N") + repository("N", "!Ref M"), "Circular dependency between resources: [M, N]"},
		{"itself", "Resources:\n" + repository("M", "!GetAtt M.Arn"), "Circular dependency between resources: [M]"},
		{"condition of a resource", "Resources: {M: {Type: 'AWS::ECR::Repository', Condition: X}}", "Template format error: Unresolved condition dependency X in the Resources block of the template"},
		{"condition of Fn::If", "Resources:\n" + repository("M", "!If [X, a, b]"), "Template error: unresolved condition dependency X in Fn::If"},
		{"a condition that reads a resource", "Conditions: {C: !Equals [!Ref R, a]}\n" + ok, "Template format error: Unresolved dependencies [R]. Cannot reference resources in the Conditions block of the template"},
		{"a resource without a type", "Resources: {R: {Properties: {}}}", "Template format error: [/Resources/R] Every Resources object must contain a Type member."},
		{"a resource with something else", "Resources: {R: {Type: 'AWS::ECR::Repository', Colour: red}}", "Invalid template resource property 'Colour'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, errCreate := c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("new"), TemplateBody: &tc.body})
			_, errUpdate := c.cfn.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: aws.String("there"), TemplateBody: &tc.body})
			_, errValidate := c.cfn.ValidateTemplate(ctx, &cloudformation.ValidateTemplateInput{TemplateBody: &tc.body})
			_, errChange := c.cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
				StackName: aws.String("new"), ChangeSetName: aws.String("c"), ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: &tc.body,
			})
			for operation, err := range map[string]error{"CreateStack": errCreate, "UpdateStack": errUpdate, "ValidateTemplate": errValidate, "CreateChangeSet": errChange} {
				if code(err) != "ValidationError" || message(err) != tc.want {
					t.Errorf("%s: %v, want %q", operation, err, tc.want)
				}
			}
		})
	}
	_, err := c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("new")})
	wantCode(t, err, "ValidationError") // nothing was made
	if st := describeStack(t, c, "there"); st.StackStatus != types.StackStatusCreateComplete {
		t.Errorf("the stack is %s", st.StackStatus)
	}
}

// A circle that only exists in branches which exclude each other is none.
func TestCircleThatConditionsBreakIsNone(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	body := never + "Resources:\n" +
		"  M: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !If [Never, !Sub '${N}-m', mm]}}\n" +
		"  N: {Type: 'AWS::ECR::Repository', Properties: {RepositoryName: !If [Never, nn, !Sub '${M}-n']}}\n"
	must(c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("s"), TemplateBody: &body}))
	if diff := cmp.Diff([]string{"mm", "mm-n"}, repositories(t, c)); diff != "" {
		t.Error(diff)
	}
}
