package hash

import (
	"fmt"
	"slices"
)

// Difference is one input that two keys don't have in common.
type Difference struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	// Before and After are nil where the input is not there.
	Before *Input `json:"before,omitempty"`
	After  *Input `json:"after,omitempty"`
}

// String says what happened to the input.
func (d Difference) String() string {
	switch {
	case d.Before == nil:
		return fmt.Sprintf("added %s", *d.After)
	case d.After == nil:
		return fmt.Sprintf("removed %s", *d.Before)
	case d.Before.Digest == d.After.Digest:
		return fmt.Sprintf("changed %s (mode only)", *d.After)
	default:
		return fmt.Sprintf("changed %s (%d → %d bytes)", *d.After, d.Before.SizeBytes, d.After.SizeBytes)
	}
}

// Diff returns the inputs in which b differs from a, in the order of the hash.
func Diff(a, b []Input) []Difference {
	a, b = slices.SortedFunc(slices.Values(a), compareInputs), slices.SortedFunc(slices.Values(b), compareInputs)
	var differences []Difference
	for len(a) > 0 || len(b) > 0 {
		switch order := compareFirst(a, b); {
		case order < 0:
			differences = append(differences, Difference{Name: a[0].Name, Path: a[0].Path, Before: &a[0]})
			a = a[1:]
		case order > 0:
			differences = append(differences, Difference{Name: b[0].Name, Path: b[0].Path, After: &b[0]})
			b = b[1:]
		default:
			if a[0].Digest != b[0].Digest || a[0].Mode != b[0].Mode {
				differences = append(differences, Difference{Name: b[0].Name, Path: b[0].Path, Before: &a[0], After: &b[0]})
			}
			a, b = a[1:], b[1:]
		}
	}
	return differences
}

func compareFirst(a, b []Input) int {
	if len(a) == 0 {
		return 1
	}
	if len(b) == 0 {
		return -1
	}
	return compareInputs(a[0], b[0])
}
