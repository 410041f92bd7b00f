package dockerfile

import (
	"maps"
	"slices"
	"strings"
)

// variable is the value of an argument or environment variable. One that is
// not known depends on something outside of the Dockerfile.
type variable struct {
	value string
	known bool
	// env says that ENV set it, and not ARG.
	env bool
}

// environment implements shell.EnvGetter.
type environment map[string]variable

func (e environment) Get(name string) (string, bool) {
	v, found := e[name]
	return v.value, found
}

func (e environment) Keys() []string {
	return slices.Sorted(maps.Keys(e))
}

func (e environment) clone() environment {
	return maps.Clone(e)
}

// platformArguments are the ones that BuildKit defines by itself. The machine
// that builds counts as one of the target's platform.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
func platformArguments(platform, target string, given map[string]string) environment {
	parts := append(strings.Split(platform, "/"), "", "")
	if target == "" {
		target = "default"
	}
	arguments := map[string]string{
		"BUILDPLATFORM": platform, "BUILDOS": parts[0], "BUILDARCH": parts[1], "BUILDVARIANT": parts[2],
		"TARGETPLATFORM": platform, "TARGETOS": parts[0], "TARGETARCH": parts[1], "TARGETVARIANT": parts[2],
		"BUILDOSVERSION": "", "TARGETOSVERSION": "", "TARGETSTAGE": target,
	}
	e := make(environment, len(arguments))
	for name, value := range arguments {
		if override, found := given[name]; found {
			value = override
		}
		e[name] = variable{value: value, known: true}
	}
	return e
}
