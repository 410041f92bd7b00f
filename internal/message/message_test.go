package message_test

import (
	"testing"

	"imagecache.dev/internal/message"
)

func TestTextsFitTheirRoom(t *testing.T) {
	for name, test := range map[string]struct{ got, want string }{
		"fits":               {message.Cut("äöü", 3), "äöü"},
		"too long":           {message.Cut("äöüß", 3), "äö…"},
		"one character":      {message.Cut("abc", 1), "…"},
		"keeps spaces":       {message.Cut("a  b\nc", 10), "a  b\nc"},
		"several lines":      {message.Line(" a\t b\n\nc ", 10), "a b c"},
		"lines, too long":    {message.Line("a\nb\nc", 4), "a b…"},
		"fits once it joins": {message.Line("a    b", 3), "a b"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
}
