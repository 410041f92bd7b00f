// Package buildinfo tells which version and commit of the project a program is.
package buildinfo

import "runtime/debug"

// version is set by the linker: -X imagecache.dev/internal/buildinfo.version=…, see .ko.yaml and "make build".
var version = ""

// Version is the release that the program belongs to, or "development".
func Version() string {
	if version == "" {
		return "development"
	}
	return version
}

// Commit is the commit that the program was built from, with "-modified" if the tree had changes; empty where the
// source was no git checkout.
func Commit() string {
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var commit, modified string
	for _, setting := range built.Settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "-modified"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + modified
}

// Text is the version and the commit in a line.
func Text() string {
	if commit := Commit(); commit != "" {
		return Version() + " (commit " + commit + ")"
	}
	return Version()
}
