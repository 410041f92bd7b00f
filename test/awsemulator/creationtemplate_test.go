package awsemulator_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

func template(prefix string, mutability types.ImageTagMutability, occasions ...types.RCTAppliedFor) *ecr.CreateRepositoryCreationTemplateInput {
	return &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: &prefix, AppliedFor: occasions, ImageTagMutability: mutability, LifecyclePolicy: aws.String(lifecycle(rule(1, `"tagStatus":"any",`+in30, expire))),
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html
func TestTemplatesMakeRepositoriesOfPushesAndChangeNoOthers(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	begin := func(by clients, name string) error {
		_, err := by.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &name})
		return err
	}
	wantCode(t, begin(c, "team/app"), "RepositoryNotFoundException")
	must(c.ecr.CreateRepositoryCreationTemplate(ctx, template("ROOT", types.ImageTagMutabilityMutable, types.RCTAppliedForCreateOnPush)))
	must(c.ecr.CreateRepositoryCreationTemplate(ctx, template("team", types.ImageTagMutabilityImmutable, types.RCTAppliedForCreateOnPush)))
	must(c.ecr.CreateRepositoryCreationTemplate(ctx, template("copies", types.ImageTagMutabilityMutable, types.RCTAppliedForReplication)))
	_, err := c.ecr.CreateRepositoryCreationTemplate(ctx, template("team", types.ImageTagMutabilityMutable, types.RCTAppliedForCreateOnPush))
	wantCode(t, err, "TemplateAlreadyExistsException")

	pusher := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: aws.String(role(t, s, "pusher", allow(`"ecr:InitiateLayerUpload","ecr:PutImage"`, "*")))})
	if err := begin(pusher, "team/app"); code(err) != "AccessDeniedException" || !strings.Contains(message(err), "ecr:CreateRepository") {
		t.Errorf("who may push and not create gets %v", err)
	}
	for name, want := range map[string]types.ImageTagMutability{
		"team/app": types.ImageTagMutabilityImmutable, "teams/app": types.ImageTagMutabilityMutable, "copies/app": types.ImageTagMutabilityMutable,
	} {
		wantCode(t, begin(c, name), "")
		found := must(c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})).Repositories[0]
		if found.ImageTagMutability != want {
			t.Errorf("%s is %s, want %s", name, found.ImageTagMutability, want)
		}
		if _, err := c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	made := createRepository(t, c, "team/other")
	_, err = c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: aws.String("team/other")})
	if code(err) != "LifecyclePolicyNotFoundException" || made.ImageTagMutability != types.ImageTagMutabilityMutable {
		t.Errorf("CreateRepository makes %s, and the policy is %v: a template changed it", made.ImageTagMutability, err)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UpdateRepositoryCreationTemplate.html
func TestTemplatesAreKept(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	for name, wrong := range map[string]func(*ecr.CreateRepositoryCreationTemplateInput){
		"no occasion":     func(in *ecr.CreateRepositoryCreationTemplateInput) { in.AppliedFor = []types.RCTAppliedFor{} },
		"a bad prefix":    func(in *ecr.CreateRepositoryCreationTemplateInput) { in.Prefix = aws.String("Team") },
		"a bad lifecycle": func(in *ecr.CreateRepositoryCreationTemplateInput) { in.LifecyclePolicy = aws.String("{}") },
		"tags, and no role": func(in *ecr.CreateRepositoryCreationTemplateInput) {
			in.ResourceTags = []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
		},
	} {
		in := template("team", types.ImageTagMutabilityMutable, types.RCTAppliedForReplication)
		wrong(in)
		if _, err := c.ecr.CreateRepositoryCreationTemplate(ctx, in); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	must(c.ecr.CreateRepositoryCreationTemplate(ctx, template("team", types.ImageTagMutabilityMutable, types.RCTAppliedForReplication)))
	must(c.ecr.UpdateRepositoryCreationTemplate(ctx, &ecr.UpdateRepositoryCreationTemplateInput{
		Prefix: aws.String("team"), Description: aws.String("ours"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush},
	}))
	listed := must(c.ecr.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{})).RepositoryCreationTemplates
	if len(listed) != 1 || *listed[0].Description != "ours" || listed[0].AppliedFor[0] != types.RCTAppliedForCreateOnPush || listed[0].LifecyclePolicy == nil || listed[0].CreatedAt == nil {
		t.Errorf("templates %+v", listed)
	}
	must(c.ecr.DeleteRepositoryCreationTemplate(ctx, &ecr.DeleteRepositoryCreationTemplateInput{Prefix: aws.String("team")}))
	_, err := c.ecr.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"team"}})
	wantCode(t, err, "TemplateNotFoundException")
}
