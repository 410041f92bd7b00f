package provenance

import (
	"fmt"
	"slices"
	"time"
)

// Names in a statement. They never change: docs/provenance.md describes them.
const (
	// BuilderID names the manager as the party that answers for a statement.
	BuilderID = "https://imagecache.dev/manager/v1"
	// BuildType names what the parameters of a statement mean.
	BuildType = "https://imagecache.dev/devcontainer-build/v1"
)

// Claims are what a statement says of an image that its verifier can compare.
type Claims struct {
	RepositoryARN string `json:"repositoryARN"`
	Hash          string `json:"hash"` // 64 hex characters
	HashVersion   int    `json:"hashVersion"`
	Platform      string `json:"platform"` // os/architecture[/variant]
	// RequestUID is the UID of the DevcontainerImage that the image was built for.
	RequestUID string `json:"requestUID"`
	// Config and Layers are the digests of the configuration and of the layers, in their order.
	Config string   `json:"config"`
	Layers []string `json:"layers"`
	// UnsignedManifest is the digest of the image's manifest in which the annotation with the statement is empty.
	UnsignedManifest string `json:"unsignedManifest"`
}

// Build is how an image was built. The manager knows what Checked names; the runner stated the rest.
type Build struct {
	// Version is the version of the manager that signed.
	Version string `json:"managerVersion,omitempty"`
	// Cluster, Namespace, Project and Request name the DevcontainerImage.
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Project   string `json:"project,omitempty"`
	Request   string `json:"request,omitempty"`
	// Trigger is the request's trigger. Admission allows Prebuild only to those who have the verb prebuild.
	Trigger string `json:"trigger,omitempty"`
	// Service is the Docker Compose service that the request asks for, "" if its configuration is of another kind.
	Service string `json:"service,omitempty"`
	// StartedAt is when the manager gave the build lease to the request, by its own clock. FinishedAt is when it had
	// checked the reported image, by AWS' clock, by which images expire.
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// LayersSince is when the build of the oldest layer may have begun that was taken over from another image; zero if
	// none was offered.
	LayersSince time.Time `json:"layersSince,omitzero"`
	// Stated is what the runner stated about its build, which nobody checked.
	Stated Stated `json:"statedByRunner,omitzero"`
}

// OldestLayer returns when the build of the oldest layer may have begun.
func (b *Build) OldestLayer() time.Time {
	if !b.LayersSince.IsZero() {
		return b.LayersSince
	}
	if !b.StartedAt.IsZero() {
		return b.StartedAt
	}
	return b.FinishedAt
}

// Stated is what a runner stated about its build.
type Stated struct {
	Environment  string  `json:"environment,omitempty"`
	KeyCoverage  string  `json:"keyCoverage,omitempty"`
	BuildSeconds int64   `json:"buildSeconds,omitempty"`
	Inputs       []Input `json:"inputs,omitempty"`
}

// Input is one named part of a hash.
type Input struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// checked is what the manager checks before it signs.
var checked = []string{"digests", "labels", "platform", "lease"}

// Record is what a statement says.
type Record struct {
	Claims
	Build
}

// MismatchError reports that a statement with a valid signature is about another image.
type MismatchError struct {
	// What is the claim that differs, and Signed and Wanted its values.
	What, Signed, Wanted string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the signature is for another image: its %s is %q, not %q", e.What, e.Signed, e.Wanted)
}

// Covers returns a *MismatchError if claims are not those that are wanted. It compares the request's UID only if one is
// wanted.
func (c *Claims) Covers(want Claims) error {
	for _, claim := range []MismatchError{
		{"repository", c.RepositoryARN, want.RepositoryARN},
		{"hash", c.Hash, want.Hash},
		{"version of the hash", fmt.Sprint(c.HashVersion), fmt.Sprint(want.HashVersion)},
		{"platform", c.Platform, want.Platform},
		{"configuration", c.Config, want.Config},
		{"request", c.RequestUID, want.RequestUID},
		{"manifest", c.UnsignedManifest, want.UnsignedManifest},
	} {
		if claim.Signed != claim.Wanted && (claim.What != "request" || want.RequestUID != "") {
			return &claim
		}
	}
	if !slices.Equal(c.Layers, want.Layers) {
		return &MismatchError{"list of layers", fmt.Sprint(len(c.Layers), " layers"), fmt.Sprint(len(want.Layers), " others")}
	}
	return nil
}
