// Package tag is the resource tags that all emulated services share.
package tag

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"imagecache.dev/test/awsemulator/internal/policy"
)

// Tag is one tag.
type Tag struct {
	Key   string `json:"Key" xml:"Key"`
	Value string `json:"Value" xml:"Value"`
}

// Max is how many tags a resource may have; those that begin with aws: do not count.
// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html#id_tags_naming_best_practices
const Max = 50

// TooMany is the error for more than Max tags.
type TooMany struct{ Count int }

func (e *TooMany) Error() string {
	return fmt.Sprintf("%d tags are more than the %d that a resource can have", e.Count, Max)
}

// Check validates tags as given in one request.
func Check(tags []Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case t.Key == "":
			return fmt.Errorf("tag key must not be empty")
		case utf8.RuneCountInString(t.Key) > 128:
			return fmt.Errorf("tag key %q is longer than 128 characters", t.Key)
		case utf8.RuneCountInString(t.Value) > 256:
			return fmt.Errorf("value of tag %q is longer than 256 characters", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return fmt.Errorf("caller is an end user and not allowed to mutate system tags: the prefix aws: of %q is reserved", t.Key)
		case !valid(t.Key) || !valid(t.Value):
			return fmt.Errorf("tag %q has a character that is not allowed", t.Key)
		case seen[t.Key]:
			return fmt.Errorf("duplicate tag key %q", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

func valid(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 127, strings.ContainsRune(" _.:/=+-@", r):
		default:
			return false
		}
	}
	return true
}

// Merge returns old with the new tags set, or TooMany.
func Merge(old map[string]string, add []Tag) (map[string]string, error) {
	out := make(map[string]string, len(old)+len(add))
	for k, v := range old {
		out[k] = v
	}
	for _, t := range add {
		out[t.Key] = t.Value
	}
	n := 0
	for k := range out {
		if !strings.HasPrefix(k, "aws:") {
			n++
		}
	}
	if n > Max {
		return nil, &TooMany{Count: n}
	}
	return out, nil
}

// List is the tags sorted by key, never nil.
func List(tags map[string]string) []Tag {
	out := make([]Tag, 0, len(tags))
	for k, v := range tags {
		out = append(out, Tag{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// Requested is the condition keys of tags that a request brings.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requesttag
func Requested(tags []Tag) policy.Context {
	ctx := policy.Context{}
	keys := make([]string, 0, len(tags))
	for _, t := range tags {
		ctx.Set("aws:RequestTag/"+t.Key, t.Value)
		keys = append(keys, t.Key)
	}
	if len(keys) > 0 {
		ctx.Set("aws:TagKeys", keys...)
	}
	return ctx
}

// Resource is the condition keys of the tags that a resource has, under each of the prefixes, such as aws and ecr.
func Resource(tags map[string]string, prefixes ...string) policy.Context {
	ctx := policy.Context{}
	for k, v := range tags {
		for _, p := range prefixes {
			ctx.Set(p+":ResourceTag/"+k, v)
		}
	}
	return ctx
}
