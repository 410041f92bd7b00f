package devcontainer

import (
	"bytes"
	"encoding/json"
)

// Lockfile is what a Features' lockfile pins, by the Features' references:
// https://github.com/devcontainers/spec/blob/main/docs/specs/devcontainer-lockfile.md
type Lockfile map[string]LockedFeature

// LockedFeature is one entry of a lockfile.
type LockedFeature struct {
	// Integrity is the digest that a build takes, "sha256:…"; "" pins nothing.
	Integrity string
	// DependsOn are the references of the Features that this one depends on.
	DependsOn []string
}

// ParseLockfile reads a lockfile. Like the reference CLI it reads strict JSON,
// takes a file of spaces for one that pins nothing, and takes no notice of
// entries and properties of other types.
func ParseLockfile(contents []byte) (Lockfile, error) {
	if len(bytes.TrimSpace(contents)) == 0 {
		return nil, nil
	}
	var root json.RawMessage
	if err := json.Unmarshal(contents, &root); err != nil {
		return nil, err
	}
	var written, features map[string]json.RawMessage // names are of exact case, as in JavaScript
	if json.Unmarshal(root, &written) != nil || json.Unmarshal(written["features"], &features) != nil {
		return Lockfile{}, nil //nolint:nilerr // what is no object pins nothing
	}
	lockfile := Lockfile{}
	for id, raw := range features {
		var entry map[string]any
		if json.Unmarshal(raw, &entry) != nil {
			continue
		}
		integrity, _ := entry["integrity"].(string)
		lockfile[id] = LockedFeature{Integrity: integrity, DependsOn: stringsOf(entry["dependsOn"])}
	}
	return lockfile, nil
}

func stringsOf(value any) []string {
	list, _ := value.([]any)
	var texts []string
	for _, element := range list {
		if text, ok := element.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
