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
	// env reports whether ENV set it, and not ARG.
	env bool
	// automatic reports whether builders define it by themselves. One that does
	// not leaves it empty.
	automatic bool
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

// withoutAutomatic is the environment in a builder that defines no arguments by
// itself, such as docker's classic one; nil where it is the same.
func (e environment) withoutAutomatic() environment {
	var without environment
	for name, v := range e {
		if !v.automatic || v.value == "" {
			continue
		}
		if without == nil {
			without = e.clone()
		}
		without[name] = variable{known: v.known}
	}
	return without
}

// inherited is the environment of a stage that starts from this one. BuildKit
// passes on arguments, buildah and docker's classic builder do not.
func (e environment) inherited() environment {
	inherited := e.clone()
	for name, v := range inherited {
		v.known = v.known && v.env
		inherited[name] = v
	}
	return inherited
}

// platformNames are the arguments about platforms that BuildKit and buildah
// define by themselves, with the part of a platform that each has.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
var platformNames = map[string]int{
	"BUILDPLATFORM": whole, "BUILDOS": 0, "BUILDARCH": 1, "BUILDVARIANT": 2, "BUILDOSVERSION": none,
	"TARGETPLATFORM": whole, "TARGETOS": 0, "TARGETARCH": 1, "TARGETVARIANT": 2, "TARGETOSVERSION": none,
}

// Parts of a platform beside its elements 0, 1 and 2.
const (
	whole = -1
	none  = -2
)

// stageArgument is the automatic argument with the name of the built stage.
const stageArgument = "TARGETSTAGE"

// automaticArguments are the ones that builders define by themselves. A build
// argument of the same name replaces one.
func automaticArguments(o Options, target string) environment {
	e := environment{stageArgument: {value: target, known: true, automatic: true}}
	for name, part := range platformNames {
		platform := o.Platform
		if strings.HasPrefix(name, "BUILD") {
			platform = o.BuildPlatform
		}
		e[name] = variable{value: platformPart(platform, part), known: platform != "", automatic: true}
	}
	for name := range e {
		if given, found := o.Args[name]; found {
			e[name] = variable{value: given, known: true}
		}
	}
	return e
}

func platformPart(platform string, part int) string {
	switch part {
	case whole:
		return platform
	case none:
		return ""
	}
	return append(strings.Split(platform, "/"), "", "")[part]
}

// isAutomatic reports whether builders define an argument by themselves.
func isAutomatic(name string) bool {
	_, found := platformNames[name]
	return found || name == stageArgument
}
