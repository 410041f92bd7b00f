package compression

import (
	"runtime/debug"
	"strings"
)

// library is the module that compresses. Another version of it may make other bytes of the same content.
const library = "github.com/klauspost/compress"

// Encoder names what a Writer of a format compresses with. Two that have the same name make the same bytes of the same
// content.
func Encoder(format Format) string {
	name := string(format)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.HasPrefix(module.Path, library) {
				name += " " + module.Version
			}
		}
	}
	return name
}
