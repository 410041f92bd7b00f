package iam

import (
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type tagRoleIn struct {
	RoleName string
	Tags     []tag.Tag
}

func (d *Directory) tagRole(c *caller.Caller, in *tagRoleIn) (*wire.Empty, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "TagRole", in.RoleName, tag.Requested(in.Tags))
	if err != nil {
		return nil, err
	}
	tags, err := withTags(r.tags, in.Tags)
	if err != nil {
		return nil, err
	}
	r.tags = tags
	return &wire.Empty{}, d.remember(r)
}

type untagRoleIn struct {
	RoleName string
	TagKeys  []string
}

func (d *Directory) untagRole(c *caller.Caller, in *untagRoleIn) (*wire.Empty, error) {
	ctx := policy.Context{}
	ctx.Set("aws:TagKeys", in.TagKeys...)
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "UntagRole", in.RoleName, ctx)
	if err != nil {
		return nil, err
	}
	r.tags = withoutTags(r.tags, in.TagKeys)
	return &wire.Empty{}, d.remember(r)
}

type listRoleTagsIn struct {
	RoleName string
	Marker   string
	MaxItems int `json:",string"`
}

type listRoleTagsOut struct {
	Tags        []tag.Tag `xml:"Tags>member"`
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (d *Directory) listRoleTags(c *caller.Caller, in *listRoleTagsIn) (*listRoleTagsOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, err := d.open(c, "ListRoleTags", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	part, next, err := page.Cut(tag.List(r.tags), func(t tag.Tag) string { return t.Key }, in.Marker, size)
	if err != nil {
		return nil, apierror.New("ValidationError", "Invalid Marker.")
	}
	return &listRoleTagsOut{part, next != "", next}, nil
}
