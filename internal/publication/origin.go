package publication

import (
	"encoding/json"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

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
	servicePattern     = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,128}$`)
	triggerPattern     = regexp.MustCompile(`^[A-Za-z]{1,32}$`)
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
	Service      string // of Docker Compose; "" for an image of another configuration
	Trigger      string // one of the API's
	BuildSeconds int64
	Inputs       []Input
}

// Stored is an image from a repository's list, with its origin.
type Stored struct {
	Digest   string
	PushedAt time.Time
	Origin   Origin
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
		Service:     matching(servicePattern, annotations[imagelabel.Service]),
		Trigger:     matching(triggerPattern, annotations[imagelabel.Trigger]),
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
