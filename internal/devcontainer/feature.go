package devcontainer

import (
	"path"
	"strings"
)

// FeatureKind says where a Feature comes from.
type FeatureKind string

const (
	// FeatureLocal is a folder of the workspace, referred to as "./name".
	FeatureLocal FeatureKind = "Local"
	// FeatureOCI is an artifact of a registry, referred to as "registry/path:version".
	FeatureOCI FeatureKind = "OCI"
	// FeatureTarball is an archive, referred to by an https URL.
	FeatureTarball FeatureKind = "Tarball"
	// FeatureShorthand is a name without a registry, as "node": what it means,
	// if anything, is in the reference implementation's own table.
	FeatureShorthand FeatureKind = "Shorthand"
)

// Feature is one entry of the property "features".
type Feature struct {
	// ID as it is written.
	ID   string
	Kind FeatureKind
	// Path is a local Feature's folder relative to the workspace; one that
	// begins with ".." lies outside. "" for the other kinds.
	Path string
}

// Pinned reports whether the reference itself says which bytes are meant.
func (f Feature) Pinned() bool {
	return f.Kind == FeatureOCI && strings.Contains(f.ID, "@sha256:")
}

// featureOf sorts references as the reference implementation does:
// https://containers.dev/implementors/features/#referencing-a-feature
func featureOf(id, configFolder string) Feature {
	switch {
	case !strings.ContainsAny(id, `/\`):
		return Feature{ID: id, Kind: FeatureShorthand}
	case strings.HasPrefix(id, "https://"):
		return Feature{ID: id, Kind: FeatureTarball}
	case strings.HasPrefix(id, "/"):
		return Feature{ID: id, Kind: FeatureLocal, Path: ".." + path.Clean(id)}
	case strings.HasPrefix(id, "./"), strings.HasPrefix(id, "../"):
		return Feature{ID: id, Kind: FeatureLocal, Path: path.Join(configFolder, id)}
	default:
		return Feature{ID: id, Kind: FeatureOCI}
	}
}
