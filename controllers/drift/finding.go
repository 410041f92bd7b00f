// Package drift describes how AWS differed from what the controller had set. It is pure.
package drift

import (
	"maps"
	"slices"
	"strings"

	"imagecache.dev/api/v1alpha1"
)

// Finding is one difference: Action is what the controller does about it, as the action of an event, and Text
// describes it for a person.
type Finding struct{ Action, Text string }

// Actions of events about drift. Kubernetes combines events of one action within some minutes into one event with a
// count, so each kind of drift has an action of its own.
const (
	ActionCreateRepository    = "CreateRepository"
	ActionSetImmutable        = "SetImmutable"
	ActionPutLifecyclePolicy  = "PutLifecyclePolicy"
	ActionSetRepositoryPolicy = "SetRepositoryPolicy"
	ActionSetTags             = "SetTags"
	ActionRemoveTags          = "RemoveTags"
)

// MissingTags describes tags that were missing or had another value.
func MissingTags(tags map[string]string) Finding {
	return Finding{ActionSetTags, "tags were missing or had other values: " + strings.Join(slices.Sorted(maps.Keys(tags)), ", ")}
}

// StrayTags describes tags that are no longer wanted.
func StrayTags(keys []string) Finding {
	return Finding{ActionRemoveTags, "tags existed that are no longer wanted: " + strings.Join(keys, ", ")}
}

// FoundPolicy describes a policy that was changed, or removed if text is empty. what names it.
func FoundPolicy(what, text string) string {
	if text == "" {
		return "the " + what + " was removed"
	}
	return "the " + what + " was changed"
}

// EventCorrected is the reason of the event for a difference in AWS that the controller corrected.
const EventCorrected = v1alpha1.EventDriftCorrected
