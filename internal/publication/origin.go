package publication

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// Limits of an image's inputs: the same that the API sets for a request's inputs.
const (
	maxInputs         = 32
	maxInputNameChars = 256
	// maxInputsBytes limits the annotation before it is parsed. The longest annotation that the controller writes is
	// shorter.
	maxInputsBytes = 64 << 10
)

var (
	inputDigestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	hashPattern        = regexp.MustCompile(`^[0-9a-f]{64}$`)
	environmentPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)
	platformPattern    = regexp.MustCompile(`^[a-z0-9]{1,20}/[a-z0-9_]{1,20}(/[a-z0-9_.]{1,20})?$`)
)

// Input is one named part of a hash.
type Input struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Origin is what an image was built from. It explains other environments' misses and decides nothing: neither hit or
// miss, nor what may be published. Unknown fields are zero.
type Origin struct {
	Hash         string
	HashVersion  int
	Platform     string
	Environment  string
	BuildSeconds int64
	Inputs       []Input
}

// Stored is an image from a repository's list, with its origin.
type Stored struct {
	Digest   string
	PushedAt time.Time
	Origin   Origin
}

// Annotate returns the image with its origin in the manifest, and so with another digest. It writes the manifest from
// what Check read. An origin without inputs explains nothing and leaves the image unchanged.
func (i *Image) Annotate(origin Origin) (*Image, error) {
	if len(origin.Inputs) == 0 {
		return i, nil
	}
	inputs, err := json.Marshal(origin.Inputs)
	if err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	return i.with(map[string]string{
		imagelabel.Hash:         origin.Hash,
		imagelabel.Version:      strconv.Itoa(origin.HashVersion),
		imagelabel.Platform:     origin.Platform,
		imagelabel.Environment:  origin.Environment,
		imagelabel.BuildSeconds: strconv.FormatInt(origin.BuildSeconds, 10),
		imagelabel.Inputs:       string(inputs),
	})
}

// Sign returns the image with a signed statement in the manifest, and so with another digest.
func (i *Image) Sign(envelope []byte) (*Image, error) {
	return i.with(map[string]string{imagelabel.Provenance: string(envelope)})
}

// with returns the image with more annotations. It writes the manifest in the one form that package provenance
// accepts.
func (i *Image) with(annotations map[string]string) (*Image, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(i.Manifest))
	if err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	if manifest.Annotations == nil {
		manifest.Annotations = map[string]string{}
	}
	maps.Copy(manifest.Annotations, annotations)
	annotated := *i
	if annotated.Manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	annotated.Digest = ocidigest.FromBytes(annotated.Manifest).String()
	return &annotated, nil
}

// OriginIn reads the origin in a manifest's annotations. It ignores everything that the controller would not write.
func OriginIn(manifest []byte) Origin {
	var has struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(manifest, &has) != nil {
		return Origin{}
	}
	return OriginOf(has.Annotations)
}

// OriginOf reads the origin in annotations. Labels of a configuration hold most of it too, but the runner wrote them.
func OriginOf(annotations map[string]string) Origin {
	origin := Origin{
		Hash:        matching(hashPattern, annotations[imagelabel.Hash]),
		Platform:    matching(platformPattern, annotations[imagelabel.Platform]),
		Environment: matching(environmentPattern, annotations[imagelabel.Environment]),
		Inputs:      parseInputs(annotations[imagelabel.Inputs]),
	}
	if version, err := strconv.Atoi(annotations[imagelabel.Version]); err == nil && version > 0 {
		origin.HashVersion = version
	}
	if seconds, err := strconv.ParseInt(annotations[imagelabel.BuildSeconds], 10, 64); err == nil && seconds >= 0 {
		origin.BuildSeconds = seconds
	}
	return origin
}

func matching(pattern *regexp.Regexp, value string) string {
	if !pattern.MatchString(value) {
		return ""
	}
	return value
}

// parseInputs parses a list of inputs. It returns nil unless the API would accept the whole list.
func parseInputs(annotation string) []Input {
	if len(annotation) > maxInputsBytes {
		return nil
	}
	var inputs []Input
	if json.Unmarshal([]byte(annotation), &inputs) != nil || len(inputs) > maxInputs {
		return nil
	}
	names := make(map[string]bool, len(inputs))
	for _, input := range inputs {
		length := utf8.RuneCountInString(input.Name)
		if length == 0 || length > maxInputNameChars || names[input.Name] || !inputDigestPattern.MatchString(input.Digest) {
			return nil
		}
		names[input.Name] = true
	}
	return inputs
}
