// Package awstag decides which tags the controller sets in AWS, and which tags of others fit beside them.
package awstag

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/sessionpolicy"
)

// tagText matches the characters that AWS accepts in keys and values of tags:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Tag.html
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// Fit returns the controller's own tags and as many others, in the order of their keys, as fit into room, the largest
// number of tags in all. left are the keys of the tags that were left out.
func Fit(own, others map[string]string, room int) (fitting map[string]string, left []string) {
	fitting = maps.Clone(own)
	for _, key := range slices.Sorted(maps.Keys(others)) {
		if _, ok := fitting[key]; ok {
			continue
		}
		if len(fitting) >= room {
			left = append(left, key)
			continue
		}
		fitting[key] = others[key]
	}
	return fitting, left
}

// Takeable splits tags into those that a repository or a role can carry, and the keys of those that it can't carry:
// keys or values that AWS does not accept, and keys that the controller reserves.
func Takeable(tags map[string]string) (taken map[string]string, refused []string) {
	taken = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		if IsOurs(key) || !tagText.MatchString(key) || !tagText.MatchString(value) ||
			utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > maxValue {
			refused = append(refused, key)
			continue
		}
		taken[key] = value
	}
	return taken, refused
}

// IsOurs reports whether a key belongs to the controller.
func IsOurs(key string) bool {
	return strings.HasPrefix(key, "imagecache.dev/") || key == sessionpolicy.ProjectTag
}

// IsReserved reports whether a key is reserved for tags that only AWS sets.
func IsReserved(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

// OfStack returns the stack's tags that a runner's status holds, by key.
func OfStack(runner *v1alpha1.RunnerImageCache) map[string]string {
	tags := make(map[string]string, len(runner.Status.StackTags))
	for _, tag := range runner.Status.StackTags {
		tags[tag.Key] = Value(tag.Value)
	}
	return tags
}

// Value returns the value of a tag; nil stands for an empty one.
func Value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
