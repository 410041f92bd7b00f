package ecr

import (
	"maps"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type tagResourceIn struct {
	ResourceARN string   `json:"resourceArn"`
	Tags        jsonTags `json:"tags"`
}

// named is the repository name in an ARN of this registry.
func (r *Registry) named(arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, r.arn(""))
	if !ok {
		return "", invalid("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'must be a repository of this registry'")
	}
	return name, checkRepositoryName(name)
}

// openARN is open by ARN, with the tags that a request brings.
func (r *Registry) openARN(c *caller.Caller, action, arn string, more policy.Context) (*repository, error) {
	name, err := r.named(arn)
	if err != nil {
		return nil, err
	}
	if err := r.authorize(c, action, name, more); err != nil {
		return nil, err
	}
	p := r.repos[name]
	if p == nil {
		return nil, repositoryNotFound(name, r.settings.Account)
	}
	return p, nil
}

func (r *Registry) tagResource(c *caller.Caller, in *tagResourceIn) (*wire.Empty, error) {
	if err := tag.Check(in.Tags); err != nil {
		return nil, apierror.New("InvalidTagParameterException", "Invalid parameter at 'tags' failed to satisfy constraint: '%s'", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.openARN(c, "TagResource", in.ResourceARN, tag.Requested(in.Tags))
	if err != nil {
		return nil, err
	}
	tags, err := tag.Merge(p.tags, in.Tags)
	if err != nil {
		return nil, apierror.New("TooManyTagsException", "%s", err)
	}
	p.tags = tags
	return &wire.Empty{}, nil
}

type untagResourceIn struct {
	ResourceARN string   `json:"resourceArn"`
	TagKeys     []string `json:"tagKeys"`
}

func (r *Registry) untagResource(c *caller.Caller, in *untagResourceIn) (*wire.Empty, error) {
	ctx := policy.Context{}
	ctx.Set("aws:TagKeys", in.TagKeys...)
	for _, k := range in.TagKeys {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, apierror.New("InvalidTagParameterException", "caller is an end user and not allowed to mutate system tags")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.openARN(c, "UntagResource", in.ResourceARN, ctx)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(p.tags)
	for _, k := range in.TagKeys {
		delete(tags, k)
	}
	p.tags = tags
	return &wire.Empty{}, nil
}

type listTagsIn struct {
	ResourceARN string `json:"resourceArn"`
}

type listTagsOut struct {
	Tags jsonTags `json:"tags"`
}

func (r *Registry) listTagsForResource(c *caller.Caller, in *listTagsIn) (*listTagsOut, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.openARN(c, "ListTagsForResource", in.ResourceARN, nil)
	if err != nil {
		return nil, err
	}
	if !r.visible(c.Now, p.created) {
		return nil, repositoryNotFound(p.name, r.settings.Account)
	}
	return &listTagsOut{tag.List(p.tags)}, nil
}
