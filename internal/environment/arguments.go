package environment

import (
	"fmt"
	"slices"
	"strings"

	"imagecache.dev/internal/runner"
)

// Arguments are arguments of devcontainer up, and what they mean to the cache.
type Arguments struct {
	// Words are the arguments as they were written.
	Words []string
	// IDLabels are the labels of the container, as "name=value"; none means those of the workspace.
	IDLabels []string
	// RemoveExisting: the container is made anew, even if it exists.
	RemoveExisting bool
	// ExpectExisting: the container exists.
	ExpectExisting bool
	// AdditionalFeatures: Features are installed that are not a part of the configuration.
	AdditionalFeatures bool
	// OtherBuild is an argument, as it was written, that asks for another build than the one that a hash names; "" if
	// there is none.
	OtherBuild string
	// UserIDs: the arguments set whether the container's user gets the IDs of the local user.
	UserIDs bool
}

// reserved are the arguments that imagecache up sets itself, and what to use instead.
var reserved = map[string]string{
	"workspacefolder": "name the workspace before --",
	"config":          "use --config before --",
	"dockerpath":      "use --builder before --",
	"overrideconfig":  "the cache knows the workspace's own configuration only",
}

// ParseArguments reads arguments of devcontainer up. A runner.UsageError names one that can't be passed.
func ParseArguments(words []string) (Arguments, error) {
	a := Arguments{Words: words}
	for i, word := range words {
		option, found := strings.CutPrefix(word, "--")
		if !found {
			continue
		}
		written, value, hasValue := strings.Cut(option, "=")
		if !hasValue && i+1 < len(words) {
			value = words[i+1]
		}
		name := plainName(written)
		if instead, is := reserved[name]; is {
			message := fmt.Sprintf("--%s can't be passed to devcontainer up; %s", written, instead)
			return a, &runner.UsageError{Message: message}
		}
		switch name {
		case "idlabel":
			a.IDLabels = append(a.IDLabels, value)
		case "removeexistingcontainer":
			a.RemoveExisting = value != "false"
		case "expectexistingcontainer":
			a.ExpectExisting = value != "false"
		case "additionalfeatures":
			a.AdditionalFeatures = a.AdditionalFeatures || strings.Trim(value, "{ }") != ""
		case "buildnocache", "frozenlockfile", "experimentalfrozenlockfile":
			if value != "false" {
				a.OtherBuild = "--" + written
			}
		case "updateremoteuseruiddefault":
			a.UserIDs = true
		}
	}
	return a, nil
}

// RemovingExisting returns the arguments with --remove-existing-container.
func (a Arguments) RemovingExisting() Arguments {
	if !a.RemoveExisting {
		a.RemoveExisting = true
		a.Words = append(slices.Clone(a.Words), "--remove-existing-container")
	}
	return a
}

// plainName returns an option's name without regard to its spelling: the reference CLI accepts --id-label and
// --idLabel.
func plainName(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "-", ""))
}
