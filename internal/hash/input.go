package hash

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"

	ocidigest "github.com/opencontainers/go-digest"
)

// The names of inputs. The first two are always there where the file is, the next
// three with Docker Compose, the last of these with InputBuildContext; the others
// are also the settings that bring them in.
const (
	// InputConfiguration is the devcontainer.json.
	InputConfiguration = "devcontainer.json"
	// InputDockerfile is the Dockerfile that the configuration refers to.
	InputDockerfile = "Dockerfile"
	// InputComposeFile is one file that a Docker Compose project is read from.
	InputComposeFile = "ComposeFile"
	// InputService is what decides about a service's image in the resolved project of Docker Compose.
	InputService = "Service"
	// InputIgnoreFile is one ignore file of a service's build that builders read differently.
	InputIgnoreFile = "IgnoreFile"
	// InputBuildContext is one file, link or folder that a build takes from its context.
	InputBuildContext = "BuildContext"
	// InputBaseImages is one base image, with the digest that its name has now.
	InputBaseImages = "BaseImages"
	// InputFeatures is one file of a local Feature, or the lockfile.
	InputFeatures = "Features"
	// InputLocalEnv is one variable of the local machine that reaches the build.
	InputLocalEnv = "LocalEnv"
)

// Settings are the inputs that have to be asked for.
var Settings = []string{InputBuildContext, InputBaseImages, InputFeatures, InputLocalEnv}

// Mode says what an input is where that changes what is built. Where the group
// or others lack a right to read that files usually give them, ":" and those
// bits follow in two octal digits: ":00" is a file that its owner alone may
// read, "executable:50" one that others may not execute.
type Mode string

// rightsMark is what stands before unusual rights.
const rightsMark = ":"

// rights describes unusual rights for people, as "mode 0600"; "" for usual ones.
func (m Mode) rights() string {
	kind, rights, unusual := strings.Cut(string(m), rightsMark)
	switch {
	case !unusual:
		return ""
	case Mode(kind) == ModeFile:
		return "mode 06" + rights
	}
	return "mode 07" + rights
}

const (
	// ModeFile is a file without the executable bit, and whatever is not a file.
	ModeFile Mode = ""
	// ModeExecutable is a file that its owner may execute.
	ModeExecutable Mode = "executable"
	// ModeSymlink is a symbolic link; its content is its target.
	ModeSymlink Mode = "symlink"
	// ModeFolder is a folder; its content is empty.
	ModeFolder Mode = "folder"
)

// Input is one named part of a key.
type Input struct {
	// Name is one of the constants InputConfiguration to InputLocalEnv.
	Name string `json:"name"`
	// Path relative to the workspace; for InputBaseImages the reference, for
	// InputLocalEnv the variable, for InputService the service. "" where contents came without a path.
	Path string `json:"path,omitempty"`
	Mode Mode   `json:"mode,omitempty"`
	// SizeBytes of the content.
	SizeBytes int64 `json:"sizeBytes"`
	// Digest is "sha256:" and the SHA-256 of the content; for InputBaseImages the image's own digest.
	Digest string `json:"digest"`
}

func contentInput(name, path string, content []byte) Input {
	return Input{Name: name, Path: path, SizeBytes: int64(len(content)), Digest: ocidigest.FromBytes(content).String()}
}

// sum returns the 32 bytes of a digest.
func (i Input) sum() ([]byte, error) {
	parsed, err := ocidigest.Parse(i.Digest)
	if err != nil || parsed.Algorithm() != ocidigest.SHA256 {
		return nil, fmt.Errorf("input %s: digest %q is not sha256: and 64 hexadecimal digits", i, i.Digest)
	}
	return hex.DecodeString(parsed.Encoded())
}

// keyPath is the path that goes into the hash: the two files of the promise
// have none there, so that their place doesn't matter.
func (i Input) keyPath() string {
	if i.Name == InputConfiguration || i.Name == InputDockerfile {
		return ""
	}
	return i.Path
}

// String names an input for people.
func (i Input) String() string {
	if i.keyPath() == "" {
		return i.Name
	}
	text := i.Name + " " + i.Path
	if rights := i.Mode.rights(); rights != "" {
		text += " (" + rights + ")"
	}
	return text
}

// compareInputs puts the two files of the promise first, then orders by the
// bytes of name and path.
func compareInputs(a, b Input) int {
	if a.Name == b.Name {
		return strings.Compare(a.keyPath(), b.keyPath())
	}
	return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), strings.Compare(a.Name, b.Name))
}

func rank(name string) int {
	switch name {
	case InputConfiguration:
		return 0
	case InputDockerfile:
		return 1
	default:
		return 2
	}
}
