package awsemulator_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/test/awsemulator"
)

// The line that the controller walks: root keys, a role, a narrowed session, a registry password, layers by the distribution
// protocol, PutImage by the API, a pull by digest.
func TestFlowFromRootKeysToPulledImage(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	account := root(t, s)
	repo := "gitpod-runner-r1/projects/p1/image-build"

	if _, err := account.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: aws.String("runner"), TemplateBody: aws.String("Resources:\n  H:\n    Type: AWS::CloudFormation::WaitConditionHandle\nOutputs:\n  ImageCacheVersion:\n    Value: '1'\n"),
	}); err != nil {
		t.Fatal(err)
	}
	stacks := must(account.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("runner")}))
	if got := *stacks.Stacks[0].Outputs[0].OutputValue; got != "1" {
		t.Errorf("output %q, want 1", got)
	}

	arn := role(t, s, "imagecache-controller", allow(`"ecr:*","sts:*","tag:*"`, "*"))
	controller := assume(t, s, account, &sts.AssumeRoleInput{RoleArn: &arn})
	who := must(controller.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	if want := "arn:aws:sts::123456789012:assumed-role/imagecache-controller/test"; *who.Arn != want {
		t.Errorf("caller %s, want %s", *who.Arn, want)
	}
	made := must(controller.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &repo, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable, Tags: []ecrtypes.Tag{{Key: aws.String("owner"), Value: aws.String("me")}},
	}))
	if want := s.RegistryHost() + "/" + repo; *made.Repository.RepositoryUri != want {
		t.Errorf("URI %s, want %s", *made.Repository.RepositoryUri, want)
	}
	found := must(controller.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"ecr:repository"}}))
	if len(found.ResourceTagMappingList) != 1 {
		t.Errorf("tagging finds %d repositories, want 1", len(found.ResourceTagMappingList))
	}

	push := role(t, s, "push", allow(`"ecr:*"`, "arn:aws:ecr:us-east-1:123456789012:repository/gitpod-runner-r1/projects/${aws:PrincipalTag/imagecache-project}/image-build"))
	must(account.iam.PutRolePolicy(ctx, putPolicy("push", "login", allow(`"ecr:GetAuthorizationToken"`, "*"))))
	grant := assume(t, s, controller, &sts.AssumeRoleInput{
		RoleArn: &push, Tags: sessionTag("imagecache-project", "p1"),
		Policy: aws.String(allow(`"ecr:GetAuthorizationToken","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:BatchCheckLayerAvailability"`, "*")),
	})
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: password(t, grant)})
	img := must(random.Image(2000, 3))
	ref := must(name.NewRepository(*made.Repository.RepositoryUri, name.Insecure))
	for _, l := range must(img.Layers()) {
		if err := remote.WriteLayer(ref, l, auth); err != nil {
			t.Fatalf("upload layer: %v", err)
		}
	}
	config := must(remoteConfig(img))
	if err := remote.WriteLayer(ref, config, auth); err != nil {
		t.Fatalf("upload config: %v", err)
	}
	err := remote.Write(ref.Tag("forbidden"), img, auth)
	var denied *transport.Error
	if !asError(err, &denied) || denied.StatusCode != http.StatusForbidden {
		t.Errorf("put manifest with upload rights alone: %v, want 403", err)
	}

	manifest := string(must(img.RawManifest()))
	put := must(controller.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &manifest, ImageTag: aws.String("abc")}))
	digest := must(img.Digest()).String()
	if *put.Image.ImageId.ImageDigest != digest {
		t.Errorf("digest %s, want %s", *put.Image.ImageId.ImageDigest, digest)
	}
	pull := remote.WithAuth(&authn.Basic{Username: "AWS", Password: password(t, controller)})
	got, err := remote.Image(ref.Digest(digest), pull)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range must(got.Layers()) {
		body := must(l.Compressed())
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := s.Calls().Count("ecr:PutImage"); n != 2 {
		t.Errorf("%d PutImage calls in the log, want 2: one refused over the registry, one of the API", n)
	}
}
