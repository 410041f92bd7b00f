// Package drift describes what differed in AWS from what the controller left there. It is pure.
package drift

import (
	"maps"
	"slices"
	"strings"
)

// Finding is one thing that was not as it was left: what is done about it, in the API's word for an event's action, and
// what it was, in a person's words.
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

func MissingTags(tags map[string]string) Finding {
	return Finding{ActionSetTags, "tags were missing or other than wanted: " + strings.Join(slices.Sorted(maps.Keys(tags)), ", ")}
}

func StrayTags(keys []string) Finding {
	return Finding{ActionRemoveTags, "tags were there that are no longer wanted: " + strings.Join(keys, ", ")}
}

func FoundPolicy(what, text string) string {
	if text == "" {
		return "the " + what + " was removed"
	}
	return "the " + what + " was changed"
}

// EventCorrected is the reason of the event for something in AWS that differed and was corrected. The note names
// what was found.
const EventCorrected = "DriftCorrected"
