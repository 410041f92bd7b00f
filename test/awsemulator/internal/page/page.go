// Package page cuts sorted lists into pages with opaque tokens.
package page

import (
	"encoding/base64"
	"errors"
	"sort"
	"strings"
)

// ErrToken is for a token that this emulator did not give out.
var ErrToken = errors.New("invalid parameter: nextToken")

const prefix = "imagecache-emulator/1/"

// Cut returns at most size of the items that come after the token's, and the token of the rest, "" at the end.
// Items are sorted by key, and keys are unique; a list that changes between pages shifts nothing.
func Cut[T any](items []T, key func(T) string, token string, size int) ([]T, string, error) {
	if token != "" {
		raw, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", ErrToken
		}
		after, ok := strings.CutPrefix(string(raw), prefix)
		if !ok {
			return nil, "", ErrToken
		}
		items = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > after }):]
	}
	if len(items) <= size {
		return items, "", nil
	}
	return items[:size], base64.URLEncoding.EncodeToString([]byte(prefix + key(items[size-1]))), nil
}
