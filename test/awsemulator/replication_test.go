package awsemulator_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// twoRegions starts the emulators of two regions of one account.
func twoRegions(t *testing.T) (here, there *awsemulator.Server) {
	t.Helper()
	here = start(t, awsemulator.Options{RootMayAssumeRoles: true})
	there = start(t, awsemulator.Options{RootMayAssumeRoles: true, Region: "eu-west-1"})
	if err := there.Connect(here); err != nil {
		t.Fatal(err)
	}
	return here, there
}

func replicationTo(s *awsemulator.Server, prefixes ...string) *ecr.PutReplicationConfigurationInput {
	rule := types.ReplicationRule{Destinations: []types.ReplicationDestination{{Region: aws.String(s.Region()), RegistryId: aws.String(s.AccountID())}}}
	for _, prefix := range prefixes {
		rule.RepositoryFilters = append(rule.RepositoryFilters, types.RepositoryFilter{Filter: &prefix, FilterType: types.RepositoryFilterTypePrefixMatch})
	}
	return &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{rule}}}
}

// images lists the images of a repository as "digest tag", sorted; of none if the repository does not exist.
func images(c clients, repo string) []string {
	out, err := c.ecr.ListImages(context.Background(), &ecr.ListImagesInput{RepositoryName: &repo})
	if err != nil {
		return nil
	}
	got := []string{}
	for _, id := range out.ImageIds {
		got = append(got, *id.ImageDigest+" "+aws.ToString(id.ImageTag))
	}
	slices.Sort(got)
	return got
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html
func TestReplicationPutsImagesPastTheRepositoryPolicy(t *testing.T) {
	ctx := context.Background()
	here, there := twoRegions(t)
	c, away := root(t, here), root(t, there)
	immutable := types.ImageTagMutabilityImmutable
	must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app"), ImageTagMutability: immutable}))
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}]}`
	must(c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("team/app"), PolicyText: &deny}))
	uploadLayer(t, c, "team/app", "config of v1")
	uploadLayer(t, c, "team/app", "layer of v1")
	m := manifestOf("config of v1", "layer of v1", "v1")
	_, err := c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: &m})
	wantCode(t, err, "AccessDeniedException")

	createRepository(t, away, "team/app")
	createRepository(t, away, "other")
	early := digestOf(pushImage(t, there, away, "team/app", "early"))
	must(away.ecr.PutReplicationConfiguration(ctx, replicationTo(here, "team/")))
	shown := must(away.ecr.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})).ReplicationConfiguration
	if len(shown.Rules) != 1 || *shown.Rules[0].Destinations[0].Region != here.Region() || *shown.Rules[0].RepositoryFilters[0].Filter != "team/" {
		t.Errorf("DescribeRegistry shows %+v", shown)
	}
	first := digestOf(pushImage(t, there, away, "team/app", "v1"))
	pushImage(t, there, away, "other", "v1")
	if diff := cmp.Diff([]string{first + " v1"}, images(c, "team/app")); diff != "" {
		t.Errorf("replicated images differ (-want +got):\n%s", diff)
	}
	if got := images(c, "other"); got != nil {
		t.Errorf("a repository that no rule takes was replicated: %v", got)
	}
	if got := must(c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})); digestOf(*got.Images[0].ImageManifest) != first {
		t.Error("the replica has other bytes")
	}
	status := must(away.ecr.DescribeImageReplicationStatus(ctx, &ecr.DescribeImageReplicationStatusInput{
		RepositoryName: aws.String("team/app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")},
	})).ReplicationStatuses
	if len(status) != 1 || status[0].Status != types.ReplicationStatusComplete || *status[0].Region != here.Region() {
		t.Errorf("status of the replication: %+v", status)
	}

	// An immutable tag stays where it is; the replica comes without it.
	must(away.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}))
	uploadLayer(t, away, "team/app", "layer of v1")
	other := manifestOf("config of v1", "layer of v1", "another")
	must(away.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: &other, ImageTag: aws.String("v1")}))
	want := []string{first + " v1", digestOf(other) + " "}
	slices.Sort(want)
	if diff := cmp.Diff(want, images(c, "team/app")); diff != "" {
		t.Errorf("images after a second push differ (-want +got):\n%s", diff)
	}

	// A backfill brings what was pushed before.
	must(away.ecr.StartReplicationBackfill(ctx, &ecr.StartReplicationBackfillInput{
		Destination: &types.ReplicationDestination{Region: aws.String(here.Region()), RegistryId: aws.String(here.AccountID())},
	}))
	if !slices.Contains(images(c, "team/app"), early+" early") {
		t.Errorf("the backfill did not bring %s: %v", early, images(c, "team/app"))
	}
}

func TestReplicationIsARightToTheRegistry(t *testing.T) {
	ctx := context.Background()
	here, there := twoRegions(t)
	put := func(by clients, in *ecr.PutReplicationConfigurationInput, want string) {
		t.Helper()
		_, err := by.ecr.PutReplicationConfiguration(ctx, in)
		wantCode(t, err, want)
	}
	backfill := &ecr.StartReplicationBackfillInput{Destination: &types.ReplicationDestination{Region: aws.String(here.Region()), RegistryId: aws.String(here.AccountID())}}
	may, mayNot := mayOnly(t, there, "ecr:PutReplicationConfiguration"), mayOnly(t, there, "ecr:PutImage")
	put(mayNot, replicationTo(here), "AccessDeniedException")
	put(may, replicationTo(here), "")
	wantCode(t, second(may.ecr.StartReplicationBackfill(ctx, backfill)), "AccessDeniedException")
	put(may, replicationTo(there), "ValidationException")
	put(may, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}}}, "")
	wantCode(t, second(root(t, there).ecr.StartReplicationBackfill(ctx, backfill)), "ValidationException")
	if err := here.Connect(here); err == nil {
		t.Error("an emulator connects to itself")
	}
}

// withDeletions adds to a rule what this version of the SDK does not know yet.
func withDeletions(o *ecr.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Build.Add(middleware.BuildMiddlewareFunc("withDeletions", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
			request := in.Request.(*smithyhttp.Request)
			body, err := io.ReadAll(request.GetStream())
			if err != nil {
				return middleware.BuildOutput{}, middleware.Metadata{}, err
			}
			body = bytes.Replace(body, []byte(`"destinations":`), []byte(`"deleteReplication":{"enabled":true},"destinations":`), 1)
			if in.Request, err = request.SetStream(bytes.NewReader(body)); err != nil {
				return middleware.BuildOutput{}, middleware.Metadata{}, err
			}
			return next.HandleBuild(ctx, in)
		}), middleware.Before)
	})
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication-delete.html
func TestDeletionsReplicateWhereARuleSaysSo(t *testing.T) {
	ctx := context.Background()
	for deletions, want := range map[bool]int{true: 0, false: 2} {
		t.Run(fmt.Sprintf("deletions %t", deletions), func(t *testing.T) {
			here, there := twoRegions(t)
			c, away := root(t, here), root(t, there)
			createRepository(t, away, "app")
			options := []func(*ecr.Options){}
			if deletions {
				options = append(options, withDeletions)
			}
			must(away.ecr.PutReplicationConfiguration(ctx, replicationTo(here), options...))
			digest := digestOf(pushImage(t, there, away, "app", "v1"))
			must(away.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageTag: aws.String("v2"), ImageManifest: aws.String(manifestOf("config of v1", "layer of v1", "v1"))}))
			if got := images(c, "app"); len(got) != 2 || !strings.HasPrefix(got[0], digest) {
				t.Fatalf("replicated images %v", got)
			}
			remove := func(id types.ImageIdentifier) {
				must(away.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{id}}))
			}
			remove(types.ImageIdentifier{ImageTag: aws.String("v2")})
			if got := images(c, "app"); deletions && (len(got) != 1 || got[0] != digest+" v1") {
				t.Errorf("images after the removal of a tag: %v", got)
			}
			remove(types.ImageIdentifier{ImageDigest: &digest})
			if got := images(c, "app"); len(got) != want {
				t.Errorf("images after the deletion: %v, want %d", got, want)
			}
		})
	}
}
