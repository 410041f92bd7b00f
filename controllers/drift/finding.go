// Package drift describes what differed in AWS from what the controller left there. It is pure.
package drift

import (
	"maps"
	"slices"
	"strings"
)

// Finding is one difference: the action that corrects it, which is an event's action, and a sentence about what was found.
type Finding struct{ Action, Text string }

// Actions of events about drift. Events of one action within some minutes are one event with a count, so each kind of
// drift has an action of its own.
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
	return Finding{ActionSetTags, "tags were missing or other than wanted: " + strings.Join(slices.Sorted(maps.Keys(tags)), ", ")}
}

// StrayTags describes tags that are no longer wanted.
func StrayTags(keys []string) Finding {
	return Finding{ActionRemoveTags, "tags were there that are no longer wanted: " + strings.Join(keys, ", ")}
}

// FoundPolicy describes a policy that was changed, or removed if text is empty. what names it.
func FoundPolicy(what, text string) string {
	if text == "" {
		return "the " + what + " was removed"
	}
	return "the " + what + " was changed"
}

// EventCorrected is the reason of the event for something in AWS that differed and was corrected. The note names
// what was found.
const EventCorrected = "DriftCorrected"
