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

// Token stands for the items after a key.
func Token(key string) string { return base64.URLEncoding.EncodeToString([]byte(prefix + key)) }

// After is the key that a token stands for; of no token it is "", before all keys.
func After(token string) (key string, err error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return "", ErrToken
	}
	key, ok := strings.CutPrefix(string(raw), prefix)
	if !ok {
		return "", ErrToken
	}
	return key, nil
}

// Cut returns at most size of the items that come after the token's, and the token of the rest, "" at the end.
// Items are sorted by key, and keys are unique; a list that changes between pages shifts nothing.
func Cut[T any](items []T, key func(T) string, token string, size int) ([]T, string, error) {
	after, err := After(token)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		items = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > after }):]
	}
	if len(items) <= size {
		return items, "", nil
	}
	return items[:size], Token(key(items[size-1])), nil
}
