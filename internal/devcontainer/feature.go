package devcontainer

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// FeatureFile is the file in a Feature's folder that describes it.
const FeatureFile = "devcontainer-feature.json"

// FeatureKind says where a Feature comes from.
type FeatureKind string

const (
	// FeatureLocal is a folder of the workspace, referred to as "./name".
	FeatureLocal FeatureKind = "Local"
	// FeatureOCI is an artifact of a registry, referred to as "registry/path:version".
	FeatureOCI FeatureKind = "OCI"
	// FeatureTarball is an archive, referred to by an https URL.
	FeatureTarball FeatureKind = "Tarball"
	// FeatureShorthand is a name without a registry that the reference
	// implementation does not know.
	FeatureShorthand FeatureKind = "Shorthand"
)

// Feature is one entry of the property "features", or of a Feature's "dependsOn".
type Feature struct {
	// ID as it is written.
	ID   string
	Kind FeatureKind
	// Resolved is the reference that a build takes, and by which a lockfile pins
	// it: the ID, or what a shorthand stands for.
	Resolved string
	// Path is a local Feature's folder relative to the workspace; one that
	// begins with ".." lies outside. "" for the other kinds.
	Path string
}

// Pinned reports whether the reference itself names the Feature's content.
func (f Feature) Pinned() bool {
	return f.Kind == FeatureOCI && strings.Contains(f.ID, "@sha256:")
}

// Lockable reports whether a lockfile can pin the Feature. It can't pin one of
// a GitHub release, whose reference has no registry: "owner/repository/name".
func (f Feature) Lockable() bool {
	host, _, _ := strings.Cut(f.Resolved, "/")
	if f.Kind == FeatureOCI && strings.Contains(f.Resolved, "://") {
		return false
	}
	return f.Kind == FeatureTarball || f.Kind == FeatureOCI && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// FeatureOf sorts references as the reference implementation does:
// https://containers.dev/implementors/features/#referencing-a-feature
func FeatureOf(id, configFolder string) Feature {
	switch {
	case !strings.ContainsAny(id, `/\`):
		if resolved := shorthand(id); resolved != "" {
			return Feature{ID: id, Kind: FeatureOCI, Resolved: resolved}
		}
		return Feature{ID: id, Kind: FeatureShorthand, Resolved: id}
	case strings.HasPrefix(id, "https://"):
		return Feature{ID: id, Kind: FeatureTarball, Resolved: normalURL(id)}
	case strings.HasPrefix(id, "/"):
		return Feature{ID: id, Kind: FeatureLocal, Path: ".." + path.Clean(id)}
	case strings.HasPrefix(id, "./"), strings.HasPrefix(id, "../"):
		return Feature{ID: id, Kind: FeatureLocal, Path: path.Join(configFolder, id)}
	default:
		return Feature{ID: id, Kind: FeatureOCI, Resolved: id}
	}
}

// shorthands are the names that stand for Features of one collection, and
// renamed those of them that have another name there now:
// https://github.com/devcontainers/cli, src/spec-configuration/containerFeaturesConfiguration.ts
var (
	shorthands = []string{
		"aws-cli", "azure-cli", "desktop-lite", "docker-in-docker", "docker-from-docker", "dotnet", "git", "git-lfs",
		"github-cli", "java", "kubectl-helm-minikube", "node", "powershell", "python", "ruby", "rust", "sshd", "terraform",
	}
	renamed = map[string]string{
		"golang": "go", "common": "common-utils", "gradle": "java", "maven": "java", "jupyterlab": "python",
	}
)

// shorthand returns the reference that a name stands for, "" for none. Its
// version is the collection's first, which the reference implementation keeps.
func shorthand(name string) string {
	if now, found := renamed[name]; found {
		name = now
	} else if !slices.Contains(shorthands, name) {
		return ""
	}
	return "ghcr.io/devcontainers/features/" + name + ":1"
}

// normalURL writes a URL as a browser would, by which a lockfile knows it.
func normalURL(written string) string {
	parsed, err := url.Parse(written)
	if err != nil {
		return written
	}
	parsed.Host = strings.TrimSuffix(strings.ToLower(parsed.Host), ":443")
	return parsed.JoinPath().String() // without dot segments
}

// FeatureDependencies returns the IDs of the Features that a Feature depends
// on. name is the file's path, for errors.
func FeatureDependencies(name string, contents []byte) ([]string, error) {
	document, err := parseDocument(name, contents)
	if err != nil {
		return nil, err
	}
	r := &reader{document: document}
	dependsOn := r.objectOf("dependsOn", document.root.Member("dependsOn"))
	if dependsOn == nil {
		return nil, r.err
	}
	ids := make([]string, 0, len(dependsOn.Members))
	for _, dependency := range dependsOn.Members {
		ids = append(ids, dependency.Name())
	}
	return ids, nil
}
