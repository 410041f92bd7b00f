// Package message fits sentences for people into the room that they have, and keeps credentials out of them.
package message

import "strings"

// Line puts a text on one line, redacts it and cuts it to a number of characters.
func Line(text string, most int) string {
	return Cut(Sentence(text), most)
}

// Sentence puts a text on one line and redacts it.
func Sentence(text string) string { return Redact(strings.Join(strings.Fields(text), " ")) }

// Cut cuts a text to a number of characters, at least 1. The last one is then an ellipsis.
func Cut(text string, most int) string {
	characters := []rune(text)
	if len(characters) <= most {
		return text
	}
	return string(characters[:most-1]) + "…"
}
