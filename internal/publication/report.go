// Package publication decides whether an image that a runner reports may be published. It treats the code inside a
// build as an attacker: it believes only what the reported bytes prove.
//
// It is pure: bytes and expectations in, an image or a rejection out.
package publication

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// Limits of a report. ECR's own limits are higher: 4 MiB for a manifest, and 52,000 MiB for a layer
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html).
const (
	MaxManifestBytes = 64 << 10
	MaxConfigBytes   = 128 << 10
	MaxLayers        = 127
	MaxLayerBytes    = 52000 << 20
	// MaxUncompressedBytes is more than a disk of an environment has.
	MaxUncompressedBytes = 16 << 40
)

// Report is what a runner reports about its build.
type Report struct {
	Manifest []byte
	Config   []byte
}

// Expectation is what the image must be.
type Expectation struct {
	// RepositoryARN is the repository of a cached image. A report is not in a repository yet.
	RepositoryARN string
	Hash          string // 64 hex characters
	HashVersion   int
	UID           string // of the DevcontainerImage
	Platform      string // os/architecture[/variant]
}

// Image is a checked report.
type Image struct {
	Digest string
	// Manifest is the reported manifest; after Annotate and Sign, the one to publish.
	Manifest  []byte
	MediaType string
	// Blobs are the digests of the configuration and of the layers in their order, each once.
	Blobs []string
	// BlobBytes are the sizes of Blobs in bytes, as the manifest states them.
	BlobBytes    map[string]int64
	SizeBytes    int64
	BuildSeconds int64
}

// Problem is why a report is rejected.
type Problem string

// Problems of a report.
const (
	ManifestInvalid       Problem = "ManifestInvalid"
	IndexNotSupported     Problem = "IndexNotSupported"
	ConfigDigestMismatch  Problem = "ConfigDigestMismatch"
	MediaTypeNotSupported Problem = "MediaTypeNotSupported"
	ForeignLayer          Problem = "ForeignLayer"
	WrongPlatform         Problem = "WrongPlatform"
	LabelMismatch         Problem = "LabelMismatch"
	TooLarge              Problem = "TooLarge"
)

// Rejection is a report that must not be published, with a sentence for a person.
type Rejection struct {
	Problem Problem
	Message string
}

func (r *Rejection) Error() string { return r.Message }

func reject(problem Problem, format string, args ...any) *Rejection {
	return &Rejection{Problem: problem, Message: fmt.Sprintf(format, args...)}
}

// Check returns the image that a report proves, or the rejection.
func Check(report Report, want Expectation) (*Image, *Rejection) {
	if len(report.Manifest) > MaxManifestBytes {
		return nil, reject(TooLarge, "the manifest has %d bytes; the limit is %d", len(report.Manifest), MaxManifestBytes)
	}
	if len(report.Config) > MaxConfigBytes {
		return nil, reject(
			TooLarge, "the image's configuration has %d bytes; the limit is %d", len(report.Config), MaxConfigBytes,
		)
	}
	manifest, rejection := parseManifest(report.Manifest)
	if rejection != nil {
		return nil, rejection
	}
	if rejection := checkAnnotations(manifest); rejection != nil {
		return nil, rejection
	}
	if rejection := checkConfigBlob(manifest, report.Config); rejection != nil {
		return nil, rejection
	}
	if rejection := checkLayers(manifest); rejection != nil {
		return nil, rejection
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(report.Config))
	if err != nil {
		return nil, reject(ManifestInvalid, "the configuration is not a valid image configuration: %v", err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, reject(
			ManifestInvalid, "the configuration lists %d layers, but the manifest lists %d", len(config.RootFS.DiffIDs),
			len(manifest.Layers),
		)
	}
	if rejection := CheckPlatform(config, want.Platform); rejection != nil {
		return nil, rejection
	}
	seconds, rejection := checkLabels(config.Config.Labels, want)
	if rejection != nil {
		return nil, rejection
	}
	return describe(report.Manifest, manifest, seconds), nil
}

func parseManifest(raw []byte) (*v1.Manifest, *Rejection) {
	var shape struct {
		Manifests     json.RawMessage `json:"manifests"`
		SchemaVersion int64           `json:"schemaVersion"`
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		return nil, reject(ManifestInvalid, "the manifest is not valid JSON: %v", err)
	}
	if shape.Manifests != nil {
		return nil, reject(
			IndexNotSupported, "the reported manifest is an index of several images; report the manifest of one image",
		)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, reject(ManifestInvalid, "the manifest is not valid: %v", err)
	}
	if manifest.SchemaVersion != 2 {
		return nil, reject(ManifestInvalid, "the manifest has schema version %d; only 2 is supported", manifest.SchemaVersion)
	}
	switch manifest.MediaType {
	case types.DockerManifestSchema2, types.OCIManifestSchema1:
		return manifest, nil
	case types.DockerManifestList, types.OCIImageIndex:
		return nil, reject(
			IndexNotSupported, "the reported manifest is an index of several images; report the manifest of one image",
		)
	default:
		return nil, reject(
			MediaTypeNotSupported, "the manifest's media type %q is not supported for an image", manifest.MediaType,
		)
	}
}

// checkAnnotations rejects annotations that only the controller may write.
func checkAnnotations(manifest *v1.Manifest) *Rejection {
	for name := range manifest.Annotations {
		if strings.HasPrefix(name, imagelabel.Prefix) {
			return reject(
				ManifestInvalid, "the manifest has the annotation %q, but the cache reserves annotations that begin with %s", name,
				imagelabel.Prefix,
			)
		}
	}
	return nil
}

func checkConfigBlob(manifest *v1.Manifest, config []byte) *Rejection {
	switch manifest.Config.MediaType {
	case types.DockerConfigJSON, types.OCIConfigJSON:
	default:
		return reject(
			MediaTypeNotSupported, "the configuration's media type %q is not supported for an image", manifest.Config.MediaType,
		)
	}
	if got := ocidigest.FromBytes(config).String(); got != manifest.Config.Digest.String() {
		return reject(
			ConfigDigestMismatch, "the configuration's digest is %s, but the manifest names %s", got, manifest.Config.Digest,
		)
	}
	if int64(len(config)) != manifest.Config.Size {
		return reject(
			ConfigDigestMismatch, "the configuration has %d bytes, but the manifest names %d", len(config), manifest.Config.Size,
		)
	}
	return nil
}

func checkLayers(manifest *v1.Manifest) *Rejection {
	if len(manifest.Layers) > MaxLayers {
		return reject(TooLarge, "the image has %d layers; the limit is %d", len(manifest.Layers), MaxLayers)
	}
	for i, layer := range manifest.Layers {
		if len(layer.URLs) > 0 || !layer.MediaType.IsDistributable() {
			return reject(ForeignLayer, "layer %d is stored outside the registry", i+1)
		}
		if !layer.MediaType.IsLayer() {
			return reject(
				MediaTypeNotSupported, "layer %d has the media type %q, which is not supported for an image's layer", i+1,
				layer.MediaType,
			)
		}
		if layer.Digest.Algorithm != "sha256" {
			return reject(ManifestInvalid, "layer %d has the digest %s; only sha256 is supported", i+1, layer.Digest)
		}
		if rejection := checkLayerAnnotations(i+1, layer.Annotations); rejection != nil {
			return rejection
		}
		if layer.Size < 0 || layer.Size > MaxLayerBytes {
			return reject(TooLarge, "layer %d has %d bytes; the limit is %d", i+1, layer.Size, int64(MaxLayerBytes))
		}
	}
	return nil
}

// checkLayerAnnotations rejects annotations of a layer under our prefix, except for the one that the runner writes.
func checkLayerAnnotations(number int, annotations map[string]string) *Rejection {
	for name, value := range annotations {
		if !strings.HasPrefix(name, imagelabel.Prefix) {
			continue
		}
		bytes, err := strconv.ParseInt(value, 10, 64)
		if name != imagelabel.UncompressedBytes || err != nil || bytes < 0 || bytes > MaxUncompressedBytes {
			return reject(ManifestInvalid, "layer %d has the annotation %q with the value %q, which the cache does not accept",
				number, name, value)
		}
	}
	return nil
}

// CheckPlatform checks that an image's configuration is for a platform, os/architecture[/variant]. A request without
// a variant accepts any variant.
func CheckPlatform(config *v1.ConfigFile, platform string) *Rejection {
	os, rest, _ := strings.Cut(platform, "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	if config.OS == os && config.Architecture == architecture && (variant == "" || variant == config.Variant) {
		return nil
	}
	have := config.OS + "/" + config.Architecture
	if config.Variant != "" {
		have += "/" + config.Variant
	}
	return reject(WrongPlatform, "the image is for %s, but the request is for %s", have, platform)
}

func checkLabels(labels map[string]string, want Expectation) (buildSeconds int64, rejection *Rejection) {
	for _, label := range []struct{ name, value string }{
		{imagelabel.Hash, want.Hash},
		{imagelabel.Version, strconv.Itoa(want.HashVersion)},
		{imagelabel.UID, want.UID},
	} {
		if got := labels[label.name]; got != label.value {
			return 0, reject(LabelMismatch, "the image's label %s is %q, but must be %q", label.name, got, label.value)
		}
	}
	seconds, err := strconv.ParseInt(labels[imagelabel.BuildSeconds], 10, 64)
	if err != nil || seconds < 0 {
		return 0, reject(
			LabelMismatch, "the image's label %s is %q, but must be a number of seconds", imagelabel.BuildSeconds,
			labels[imagelabel.BuildSeconds],
		)
	}
	return seconds, nil
}

func describe(raw []byte, manifest *v1.Manifest, buildSeconds int64) *Image {
	image := &Image{
		Digest:       ocidigest.FromBytes(raw).String(),
		Manifest:     raw,
		MediaType:    string(manifest.MediaType),
		SizeBytes:    manifest.Config.Size,
		BuildSeconds: buildSeconds,
	}
	config := manifest.Config.Digest.String()
	image.BlobBytes = map[string]int64{config: manifest.Config.Size}
	image.Blobs = append(image.Blobs, config)
	for _, layer := range manifest.Layers {
		image.SizeBytes += layer.Size
		digest := layer.Digest.String()
		if _, seen := image.BlobBytes[digest]; !seen {
			image.BlobBytes[digest] = layer.Size
			image.Blobs = append(image.Blobs, digest)
		}
	}
	return image
}
