package dockerfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// origin is where a stage starts from, or COPY --from or a mount takes from.
// At most one of the fields is set; "scratch" has none.
type origin struct {
	stage   *stage
	image   string
	context string // folder of a named context
	remote  string
}

// origins resolves a name of FROM or --from to all that some builder takes it
// for: a named context, a stage by name or number, or an image.
func (a *analysis) origins(name string) []origin {
	found, exact := a.contexts(name)
	// BuildKit knows a context by every spelling of an image's name, buildah by one.
	if exact {
		return found
	}
	switch s := a.stage(name); {
	case s != nil:
		found = append(found, origin{stage: s})
	case name != noImage:
		found = append(found, origin{image: name})
	}
	return found
}

// stage finds a stage by name or number; nil where there is none.
func (a *analysis) stage(name string) *stage {
	if s := a.named(name); s != nil {
		return s
	}
	if index, err := strconv.Atoi(name); err == nil && index >= 0 && index < len(a.stages) {
		return a.stages[index]
	}
	return nil
}

// contexts finds the named contexts that some builder takes for a name, and
// reports whether every builder takes the same one:
// https://docs.docker.com/reference/cli/docker/buildx/build/#build-context
func (a *analysis) contexts(name string) (found []origin, exact bool) {
	if name == "" {
		return nil, false
	}
	for _, given := range slices.Sorted(maps.Keys(a.options.Contexts)) {
		if given == name || familiar(given) == familiar(name) {
			found = append(found, contextOrigin(a.options.Contexts[given]))
			exact = given == name
		}
	}
	return found, exact && len(found) == 1
}

// contextOrigin reads the value of a named context.
func contextOrigin(source string) origin {
	scheme, rest, found := strings.Cut(source, "://")
	switch {
	case found && (scheme == "docker-image" || scheme == "docker" || scheme == "container-image"):
		return origin{image: rest}
	case found || strings.HasPrefix(source, "target:") || strings.HasPrefix(source, "git@"):
		return origin{remote: source}
	default:
		return origin{context: source}
	}
}

// familiar is the shortest spelling of an image's name, by which BuildKit
// compares the names of contexts. The name of a context may end in "::platform".
func familiar(name string) string {
	name, _, _ = strings.Cut(name, "::")
	parsed, err := reference.ParseNormalizedNamed(strings.ToLower(name))
	if err != nil {
		return strings.ToLower(name)
	}
	return strings.TrimSuffix(reference.FamiliarString(parsed), ":latest")
}
