package cloudformation

import (
	"reflect"
	"slices"

	"imagecache.dev/test/awsemulator/internal/tag"
)

// difference is what distinguishes a resource from what it was.
type difference struct {
	properties []string // sorted; without Tags of a type that has tags
	tags       bool
	metadata   bool
}

func (d difference) none() bool { return len(d.properties) == 0 && !d.tags && !d.metadata }

// replaces tells whether the difference takes another resource in its place.
func (d difference) replaces(k kind) bool {
	return slices.ContainsFunc(d.properties, func(p string) bool { return slices.Contains(k.replacing, p) })
}

// compare compares evaluated properties, and the tags that each has with those of its stack.
func compare(old, r *resource, hadTags, tags []tag.Tag) difference {
	var d difference
	k := kinds[r.kind]
	names := map[string]any{}
	for p := range old.properties {
		names[p] = nil
	}
	for p := range r.properties {
		names[p] = nil
	}
	for _, p := range sortedKeys(names) {
		if (p != "Tags" || !k.tagged) && !reflect.DeepEqual(old.properties[p], r.properties[p]) {
			d.properties = append(d.properties, p)
		}
	}
	d.tags = k.tagged && !slices.Equal(inherited(hadTags, old), inherited(tags, r))
	d.metadata = !reflect.DeepEqual(old.metadata, r.metadata)
	return d
}
