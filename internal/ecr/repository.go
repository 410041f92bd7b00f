package ecr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/internal/aws"
)

// ErrRepositoryExists reports that a repository of this name exists already, whoever created it.
var ErrRepositoryExists = errors.New("the repository exists already")

// repositoriesAPI is the part of ECR that Repositories calls; *awsecr.Client implements it.
type repositoriesAPI interface {
	CreateRepository(
		context.Context, *awsecr.CreateRepositoryInput, ...func(*awsecr.Options),
	) (*awsecr.CreateRepositoryOutput, error)
	DeleteRepository(
		context.Context, *awsecr.DeleteRepositoryInput, ...func(*awsecr.Options),
	) (*awsecr.DeleteRepositoryOutput, error)
	DescribeRepositories(
		context.Context, *awsecr.DescribeRepositoriesInput, ...func(*awsecr.Options),
	) (*awsecr.DescribeRepositoriesOutput, error)
	GetLifecyclePolicy(
		context.Context, *awsecr.GetLifecyclePolicyInput, ...func(*awsecr.Options),
	) (*awsecr.GetLifecyclePolicyOutput, error)
	GetRepositoryPolicy(
		context.Context, *awsecr.GetRepositoryPolicyInput, ...func(*awsecr.Options),
	) (*awsecr.GetRepositoryPolicyOutput, error)
	ListTagsForResource(
		context.Context, *awsecr.ListTagsForResourceInput, ...func(*awsecr.Options),
	) (*awsecr.ListTagsForResourceOutput, error)
	PutImageTagMutability(
		context.Context, *awsecr.PutImageTagMutabilityInput, ...func(*awsecr.Options),
	) (*awsecr.PutImageTagMutabilityOutput, error)
	PutLifecyclePolicy(
		context.Context, *awsecr.PutLifecyclePolicyInput, ...func(*awsecr.Options),
	) (*awsecr.PutLifecyclePolicyOutput, error)
	SetRepositoryPolicy(
		context.Context, *awsecr.SetRepositoryPolicyInput, ...func(*awsecr.Options),
	) (*awsecr.SetRepositoryPolicyOutput, error)
	TagResource(context.Context, *awsecr.TagResourceInput, ...func(*awsecr.Options)) (*awsecr.TagResourceOutput, error)
	UntagResource(
		context.Context, *awsecr.UntagResourceInput, ...func(*awsecr.Options),
	) (*awsecr.UntagResourceOutput, error)
}

// Repository is a repository as ECR describes it.
type Repository struct {
	Name string
	ARN  string
	URI  string
	// MutableTags describes the image tags that can be overwritten, such as "image tags like latest*". It is empty if all
	// are immutable.
	MutableTags string
	// KMSKeyARN is empty if the repository is encrypted with ECR's own keys.
	KMSKeyARN string
	CreatedAt time.Time
	// Tags are all tags, including those of AWS itself.
	Tags map[string]string
}

// Repositories creates, changes and deletes repositories of one account and region. Each method makes one call,
// except Describe, which makes two.
type Repositories struct{ api repositoriesAPI }

// NewRepositories returns the Repositories of a target.
func NewRepositories(clients *aws.Clients) *Repositories { return &Repositories{api: clients.ECR} }

// Create creates a repository whose image tags are immutable, with the repository's own tags. It returns
// ErrRepositoryExists if the repository exists.
func (r *Repositories) Create(
	ctx context.Context, name, kmsKeyARN string, tags map[string]string,
) (*Repository, error) {
	encryption := &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256}
	if kmsKeyARN != "" {
		encryption = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: &kmsKeyARN}
	}
	out, err := r.api.CreateRepository(ctx, &awsecr.CreateRepositoryInput{
		RepositoryName:          &name,
		ImageTagMutability:      types.ImageTagMutabilityImmutable,
		EncryptionConfiguration: encryption,
		Tags:                    tagList(tags),
	})
	var exists *types.RepositoryAlreadyExistsException
	switch {
	case errors.As(err, &exists):
		return nil, ErrRepositoryExists
	case err != nil:
		return nil, fmt.Errorf("create the repository: %w", err)
	case out.Repository == nil:
		return nil, errors.New("create the repository: AWS returned no repository")
	}
	made := repositoryOf(*out.Repository)
	made.Tags = maps.Clone(tags)
	return &made, nil
}

// Describe returns the repository with its tags, or nil without an error if it does not exist.
func (r *Repositories) Describe(ctx context.Context, name string) (*Repository, error) {
	out, err := r.api.DescribeRepositories(ctx, &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if aws.ClassOf(err) == aws.ClassNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe the repository: %w", err)
	}
	if len(out.Repositories) == 0 {
		return nil, nil
	}
	found := repositoryOf(out.Repositories[0])
	found.Tags, err = r.tags(ctx, found.ARN)
	if aws.ClassOf(err) == aws.ClassNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found, nil
}

func (r *Repositories) tags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := r.api.ListTagsForResource(ctx, &awsecr.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return nil, fmt.Errorf("list the repository's tags: %w", err)
	}
	tags := make(map[string]string, len(out.Tags))
	for _, tag := range out.Tags {
		tags[awssdk.ToString(tag.Key)] = awssdk.ToString(tag.Value)
	}
	return tags, nil
}

// SetImmutable makes all image tags immutable, without exclusions.
func (r *Repositories) SetImmutable(ctx context.Context, name string) error {
	_, err := r.api.PutImageTagMutability(ctx, &awsecr.PutImageTagMutabilityInput{
		RepositoryName: &name, ImageTagMutability: types.ImageTagMutabilityImmutable,
	})
	return wrap("make tags immutable", err)
}

// LifecyclePolicy returns the lifecycle policy, or "" if none exists.
func (r *Repositories) LifecyclePolicy(ctx context.Context, name string) (string, error) {
	out, err := r.api.GetLifecyclePolicy(ctx, &awsecr.GetLifecyclePolicyInput{RepositoryName: &name})
	var none *types.LifecyclePolicyNotFoundException
	if errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("get the lifecycle policy: %w", err)
	}
	return awssdk.ToString(out.LifecyclePolicyText), nil
}

// PutLifecyclePolicy replaces the lifecycle policy.
func (r *Repositories) PutLifecyclePolicy(ctx context.Context, name, policy string) error {
	_, err := r.api.PutLifecyclePolicy(
		ctx, &awsecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &policy},
	)
	return wrap("put the lifecycle policy", err)
}

// Policy returns the repository policy, or "" if none exists.
func (r *Repositories) Policy(ctx context.Context, name string) (string, error) {
	out, err := r.api.GetRepositoryPolicy(ctx, &awsecr.GetRepositoryPolicyInput{RepositoryName: &name})
	var none *types.RepositoryPolicyNotFoundException
	if errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("get the repository policy: %w", err)
	}
	return awssdk.ToString(out.PolicyText), nil
}

// SetPolicy replaces the repository policy.
func (r *Repositories) SetPolicy(ctx context.Context, name, policy string) error {
	_, err := r.api.SetRepositoryPolicy(ctx, &awsecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: &policy})
	return wrap("set the repository policy", err)
}

// Tag adds tags, and replaces tags of the same keys.
func (r *Repositories) Tag(ctx context.Context, arn string, tags map[string]string) error {
	_, err := r.api.TagResource(ctx, &awsecr.TagResourceInput{ResourceArn: &arn, Tags: tagList(tags)})
	return wrap("tag the repository", err)
}

// Untag removes tags. It succeeds for keys that do not exist.
func (r *Repositories) Untag(ctx context.Context, arn string, keys []string) error {
	_, err := r.api.UntagResource(ctx, &awsecr.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
	return wrap("remove tags of the repository", err)
}

// Delete deletes the repository with all its images. It succeeds if the repository does not exist.
func (r *Repositories) Delete(ctx context.Context, name string) error {
	_, err := r.api.DeleteRepository(ctx, &awsecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
	if aws.ClassOf(err) == aws.ClassNotFound {
		return nil
	}
	return wrap("delete the repository", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func repositoryOf(found types.Repository) Repository {
	repository := Repository{
		Name:        awssdk.ToString(found.RepositoryName),
		ARN:         awssdk.ToString(found.RepositoryArn),
		URI:         awssdk.ToString(found.RepositoryUri),
		MutableTags: mutableTags(found),
		CreatedAt:   awssdk.ToTime(found.CreatedAt),
	}
	if found.EncryptionConfiguration != nil && found.EncryptionConfiguration.EncryptionType != types.EncryptionTypeAes256 {
		repository.KMSKeyARN = awssdk.ToString(found.EncryptionConfiguration.KmsKey)
	}
	return repository
}

// mutableTags describes the image tags of a repository that can be overwritten:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
func mutableTags(found types.Repository) string {
	var filters []string
	for _, filter := range found.ImageTagMutabilityExclusionFilters {
		filters = append(filters, awssdk.ToString(filter.Filter))
	}
	excluded := strings.Join(filters, ", ")
	switch found.ImageTagMutability {
	case types.ImageTagMutabilityImmutable:
		return ""
	case types.ImageTagMutabilityImmutableWithExclusion:
		return "image tags like " + excluded
	case types.ImageTagMutabilityMutableWithExclusion:
		return "image tags other than " + excluded
	}
	return "image tags"
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: awssdk.String(key), Value: awssdk.String(tags[key])})
	}
	return list
}
