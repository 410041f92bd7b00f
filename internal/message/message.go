// Package message fits sentences for people into the room that they have.
package message

import "strings"

// Line puts a text on one line and cuts it to a number of characters.
func Line(text string, most int) string {
	return Cut(strings.Join(strings.Fields(text), " "), most)
}

// Cut cuts a text to a number of characters, at least 1. The last one is then an ellipsis.
func Cut(text string, most int) string {
	characters := []rune(text)
	if len(characters) <= most {
		return text
	}
	return string(characters[:most-1]) + "…"
}
