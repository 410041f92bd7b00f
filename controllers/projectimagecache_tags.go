package controllers

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

// fitTags puts own tags first and then as many of the others, in the order of their keys, as there is room for. left
// are the keys of those that were left out.
func fitTags(own, others map[string]string, room int) (fitting map[string]string, left []string) {
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

// takenTags splits tags into those that the repository can carry and the keys of those that it can't: text that AWS
// doesn't take, and keys that are the controller's own.
func takenTags(tags map[string]string) (taken map[string]string, refused []string) {
	taken = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		if isOurTag(key) || !tagText.MatchString(key) || !tagText.MatchString(value) ||
			utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > maxTagValue {
			refused = append(refused, key)
			continue
		}
		taken[key] = value
	}
	return taken, refused
}

func isOurTag(key string) bool {
	return strings.HasPrefix(key, "imagecache.dev/") || key == sessionpolicy.ProjectTag
}

// isReservedTag knows the tags that AWS sets itself and nobody else can.
func isReservedTag(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

func stackTagsOf(runner *v1alpha1.RunnerImageCache) map[string]string {
	tags := make(map[string]string, len(runner.Status.StackTags))
	for _, tag := range runner.Status.StackTags {
		tags[tag.Key] = valueOf(tag.Value)
	}
	return tags
}

func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
