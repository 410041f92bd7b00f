package sessionpolicy

import (
	"cmp"
	"slices"
)

// sortStrings orders a list if it holds nothing but strings.
func sortStrings(list []any) {
	for _, item := range list {
		if _, ok := item.(string); !ok {
			return
		}
	}
	slices.SortFunc(list, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) })
}
