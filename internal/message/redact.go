package message

import (
	"regexp"
	"strings"
)

// redacted stands for what was removed.
const redacted = "REDACTED"

var (
	// address is an address with a query. Encoders of JSON may write & as \u0026.
	address = regexp.MustCompile(`(?i)(\bhttps?:\\?/\\?/[^\s"'<>?]*\?)((?:[^\s"'<>\\]|\\u00[0-9a-f]{2})+)`)
	// login is a user, or a user and a password, in an address.
	login = regexp.MustCompile(`(?i)(\bhttps?:\\?/\\?/)[^\s"'<>/?#@]+@`)
	// parameter is a part of a signature without its address, as in a line that was cut.
	parameter = regexp.MustCompile(
		`(?i)\b((?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|key-pair-id)=)[^\s"'<>&\\]+`)
)

// Redact removes from a text what gives access: queries and logins in addresses, and parts of signatures. An address
// of a registry's storage is presigned: whoever has its query reads the layer. Engines and libraries print such
// addresses in their errors.
func Redact(text string) string {
	if !strings.ContainsAny(text, "?@=") {
		return text
	}
	text = login.ReplaceAllString(text, "${1}"+redacted+"@")
	text = address.ReplaceAllStringFunc(text, func(found string) string {
		// A sentence may go on right behind an address.
		rest := found[len(strings.TrimRight(found, ".,:;)]}")):]
		return found[:strings.IndexByte(found, '?')+1] + redacted + rest
	})
	return parameter.ReplaceAllString(text, "${1}"+redacted)
}
