package sessionpolicy

import (
	"cmp"
	"slices"
)

// sortStrings sorts a list if it contains only strings.
func sortStrings(list []any) {
	for _, item := range list {
		if _, ok := item.(string); !ok {
			return
		}
	}
	slices.SortFunc(list, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) })
}
