package policy

import "strings"

// Context is a request's condition keys, in lower case, with their values.
// A key that is absent and a key without values are the same.
type Context map[string][]string

// Set replaces a key's values.
func (c Context) Set(key string, values ...string) {
	c[strings.ToLower(key)] = values
}

// Get is the key's only value, or "".
func (c Context) Get(key string) string {
	if v := c[strings.ToLower(key)]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// Merge adds the keys of other, which win.
func (c Context) Merge(other Context) {
	for k, v := range other {
		c[strings.ToLower(k)] = v
	}
}
