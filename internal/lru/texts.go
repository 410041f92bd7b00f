package lru

// Texts keeps one copy of each text that is used often, up to a number of bytes. A unique.Handle would not do: the copy
// is forgotten as soon as nobody has the handle, and whoever only has its value has it alone. It is safe for concurrent
// use.
type Texts struct{ known *Cache[string, string] }

// NewTexts returns Texts of so many bytes.
func NewTexts(limit int) *Texts { return &Texts{New[string, string](limit)} }

// Shared returns the copy of a text that all callers share.
func Shared[T ~string](texts *Texts, text T) T {
	if text == "" {
		return ""
	}
	if known, ok := texts.known.Get(string(text)); ok {
		return T(known)
	}
	const entry = 200 // of a map and a list
	texts.known.Set(string(text), string(text), entry+len(text))
	return text
}
