package awsemulator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	taggingtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

func createRepository(t *testing.T, c clients, name string) *types.Repository {
	t.Helper()
	out, err := c.ecr.CreateRepository(context.Background(), &ecr.CreateRepositoryInput{RepositoryName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Repository
}

func ecrTags(pairs ...string) []types.Tag {
	var out []types.Tag
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
	}
	return out
}

func manyTags(n int) []types.Tag {
	var out []types.Tag
	for i := range n {
		out = append(out, types.Tag{Key: aws.String(fmt.Sprintf("k%02d", i)), Value: aws.String("v")})
	}
	return out
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
func TestCreateRepositoryRefusesWhatItsReferenceRefuses(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "taken")
	filter := func(f string) []types.ImageTagMutabilityExclusionFilter {
		return []types.ImageTagMutabilityExclusionFilter{{Filter: &f, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}}
	}
	for _, tc := range []struct {
		name, want string
		in         ecr.CreateRepositoryInput
	}{
		{"name is taken", "RepositoryAlreadyExistsException", ecr.CreateRepositoryInput{RepositoryName: aws.String("taken")}},
		{"capitals", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("Team/app")}},
		{"one character", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("a")}},
		{"257 characters", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String(strings.Repeat("a", 257))}},
		{"slash at the end", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("team/")}},
		{"51 tags", "TooManyTagsException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), Tags: manyTags(51)}},
		{"reserved tag", "InvalidTagParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), Tags: ecrTags("aws:x", "y")}},
		{"the same tag twice", "InvalidTagParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), Tags: ecrTags("x", "1", "x", "2")}},
		{"unknown mutability", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), ImageTagMutability: "SOMETIMES"}},
		{"filters without exclusion", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), ImageTagMutability: "IMMUTABLE", ImageTagMutabilityExclusionFilters: filter("dev-*")}},
		{"exclusion without filters", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION"}},
		{"three wildcards in a filter", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION", ImageTagMutabilityExclusionFilters: filter("*a*b*")}},
		{"unknown encryption", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: "ROT13"}}},
		{"key without KMS", "InvalidParameterException", ecr.CreateRepositoryInput{RepositoryName: aws.String("new"), EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: "AES256", KmsKey: aws.String("k")}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.ecr.CreateRepository(context.Background(), &tc.in)
			wantCode(t, err, tc.want)
		})
	}
}

func TestCreateRepositoryKeepsEverySetting(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{Region: "eu-west-1", AccountID: "999999999999"})
	c := root(t, s)
	key := *must(c.kms.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	out := must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("team/app"), ImageTagMutability: types.ImageTagMutabilityImmutable, Tags: ecrTags("owner", "me"),
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: &key},
	}))
	if want := "arn:aws:ecr:eu-west-1:999999999999:repository/team/app"; *out.Repository.RepositoryArn != want {
		t.Errorf("ARN %s, want %s", *out.Repository.RepositoryArn, want)
	}
	seen := must(c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/app"}})).Repositories[0]
	if seen.ImageTagMutability != types.ImageTagMutabilityImmutable || !seen.ImageScanningConfiguration.ScanOnPush ||
		seen.EncryptionConfiguration.EncryptionType != types.EncryptionTypeKms || *seen.EncryptionConfiguration.KmsKey != key {
		t.Errorf("settings are not those of the creation: %+v", seen)
	}
	if d := seen.CreatedAt.Sub(s.Clock().Now()).Abs().Seconds(); d > 60 {
		t.Errorf("created %v seconds from now", d)
	}
	tags := must(c.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: seen.RepositoryArn})).Tags
	if len(tags) != 1 || *tags[0].Key != "owner" {
		t.Errorf("tags %v", tags)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html
func TestDescribeRepositoriesPages(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("r%03d", i)
		want = append(want, name)
		createRepository(t, c, name)
	}
	var got []string
	p := ecr.NewDescribeRepositoriesPaginator(c.ecr, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(10)})
	pages := 0
	for p.HasMorePages() {
		out, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, r := range out.Repositories {
			got = append(got, *r.RepositoryName)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
		t.Errorf("%d pages, want 3: %s", pages, diff)
	}

	for name, in := range map[string]*ecr.DescribeRepositoriesInput{
		"page of 1001":         {MaxResults: aws.Int32(1001)},
		"page of 0":            {MaxResults: aws.Int32(0)},
		"foreign token":        {NextToken: aws.String("x")},
		"names with a page":    {RepositoryNames: []string{"r001"}, MaxResults: aws.Int32(10)},
		"more than 100 names":  {RepositoryNames: slices.Repeat([]string{"r001"}, 101)},
		"a name that is wrong": {RepositoryNames: []string{"R"}},
	} {
		_, err := c.ecr.DescribeRepositories(ctx, in)
		if code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"r001", "none"}})
	wantCode(t, err, "RepositoryNotFoundException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepository.html
func TestDeleteRepositoryWithImagesNeedsForce(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	_, err := c.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app")})
	wantCode(t, err, "RepositoryNotEmptyException")
	_, err = c.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true})
	wantCode(t, err, "")
	_, err = c.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true})
	wantCode(t, err, "RepositoryNotFoundException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_TagResource.html
func TestTagResourceAddsUpToFifty(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	repo := createRepository(t, c, "app")
	_, err := c.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: repo.RepositoryArn, Tags: manyTags(50)})
	wantCode(t, err, "")
	_, err = c.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: repo.RepositoryArn, Tags: ecrTags("one-more", "x")})
	wantCode(t, err, "TooManyTagsException")
	_, err = c.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: repo.RepositoryArn, Tags: ecrTags("k01", "changed")})
	wantCode(t, err, "")
	_, err = c.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: repo.RepositoryArn, TagKeys: []string{"k00", "never-there"}})
	wantCode(t, err, "")
	tags := must(c.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: repo.RepositoryArn})).Tags
	if len(tags) != 49 || *tags[0].Key != "k01" || *tags[0].Value != "changed" {
		t.Errorf("%d tags, first %s=%s", len(tags), *tags[0].Key, *tags[0].Value)
	}
	_, err = c.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: repo.RepositoryArn, Tags: ecrTags("k", strings.Repeat("v", 257))})
	wantCode(t, err, "InvalidTagParameterException")
}

// https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
func TestGetResourcesFiltersAndPages(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	for i := range 150 {
		must(c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(fmt.Sprintf("r%03d", i)), Tags: ecrTags("n", fmt.Sprint(i%2), "all", "yes")}))
	}
	createTwo := func(in *resourcegroupstaggingapi.GetResourcesInput) (n, pages int) {
		p := resourcegroupstaggingapi.NewGetResourcesPaginator(c.tags, in)
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			n += len(out.ResourceTagMappingList)
		}
		return n, pages
	}
	if n, pages := createTwo(&resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"ecr:repository"}}); n != 150 || pages != 2 {
		t.Errorf("%d resources on %d pages, want 150 on 2", n, pages)
	}
	filter := func(k string, v ...string) taggingtypes.TagFilter { return taggingtypes.TagFilter{Key: &k, Values: v} }
	if n, _ := createTwo(&resourcegroupstaggingapi.GetResourcesInput{TagFilters: []taggingtypes.TagFilter{filter("all"), filter("n", "1", "7")}}); n != 75 {
		t.Errorf("%d resources, want 75", n)
	}
	_, err := c.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ResourcesPerPage: aws.Int32(101)})
	wantCode(t, err, "InvalidParameterException")
	_, err = c.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"ec2:instance"}})
	wantCode(t, err, "NotEmulatedException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_SetRepositoryPolicy.html
func TestRepositoryPolicy(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	_, err := c.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: aws.String("app")})
	wantCode(t, err, "RepositoryPolicyNotFoundException")
	good := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}]}`
	for name, text := range map[string]string{
		"no principal":         allow(`"ecr:*"`, "*"),
		"no JSON":              "{",
		"unknown role":         `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/none"},"Action":"ecr:*"}]}`,
		"10,241 characters":    good + strings.Repeat(" ", 10_241-len(good)),
		"locks its author out": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:SetRepositoryPolicy"}]}`,
	} {
		_, err := c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: &text})
		if code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(c.ecr.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: &good}))
	if got := *must(c.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: aws.String("app")})).PolicyText; got != good {
		t.Errorf("policy %s, want it as it was set", got)
	}
	must(c.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String("app")}))
	_, err = c.ecr.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String("app")})
	wantCode(t, err, "RepositoryPolicyNotFoundException")
}
