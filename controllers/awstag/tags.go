// Package awstag decides which tags the controller sets on what it makes in AWS, and which of others fit beside them.
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

// tagText is what AWS takes in keys and values of tags:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Tag.html
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// Fit puts own tags first and then as many of the others, in the order of their keys, as there is room for. left
// are the keys of those that were left out.
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

// Takeable splits tags into those that the repository can carry and the keys of those that it can't: text that AWS
// doesn't take, and keys that are the controller's own.
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

func IsOurs(key string) bool {
	return strings.HasPrefix(key, "imagecache.dev/") || key == sessionpolicy.ProjectTag
}

// IsReserved knows the tags that AWS sets itself and nobody else can.
func IsReserved(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

func OfStack(runner *v1alpha1.RunnerImageCache) map[string]string {
	tags := make(map[string]string, len(runner.Status.StackTags))
	for _, tag := range runner.Status.StackTags {
		tags[tag.Key] = Value(tag.Value)
	}
	return tags
}

func Value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
