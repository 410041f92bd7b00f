package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// AddTo returns an image's manifest with an envelope in its annotation. sign makes the envelope, whose statement must
// make the claims that sign gets: Config and Layers of the manifest, and UnsignedManifest, the digest of the manifest
// in which the annotation is empty. A lookup compares the last of these alone, because it covers the others.
func AddTo(manifest []byte, sign func(claims Claims) (envelope []byte, err error)) ([]byte, error) {
	parsed, err := v1.ParseManifest(bytes.NewReader(manifest))
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	if parsed.Annotations == nil {
		parsed.Annotations = map[string]string{}
	}
	parsed.Annotations[imagelabel.Provenance] = ""
	unsigned, err := json.Marshal(parsed)
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	claims := Claims{Config: parsed.Config.Digest.String(), UnsignedManifest: ocidigest.FromBytes(unsigned).String()}
	for _, layer := range parsed.Layers {
		claims.Layers = append(claims.Layers, layer.Digest.String())
	}
	envelope, err := sign(claims)
	if err != nil {
		return nil, err
	}
	parsed.Annotations[imagelabel.Provenance] = string(envelope)
	signed, err := json.Marshal(parsed)
	if err != nil {
		return nil, fmt.Errorf("sign manifest: %w", err)
	}
	return signed, nil
}

// field is the beginning of the annotation in a manifest. Quotes in JSON's strings are escaped, so it is in no string.
var field = []byte(`"` + imagelabel.Provenance + `":"`)

// split returns the unsigned manifest and the envelope of a manifest that has the form in which AddTo writes it. An
// envelope is ASCII, and nothing in it is escaped but quotes.
func split(manifest []byte) (unsigned, envelope []byte, ok bool) {
	before, rest, found := bytes.Cut(manifest, field)
	if !found {
		return nil, nil, false
	}
	end := 0
	for ; end < len(rest) && rest[end] != '"'; end++ {
		escapes := rest[end] == '\\'
		if rest[end] < ' ' || rest[end] > '~' || escapes && (end+1 == len(rest) || rest[end+1] != '"') {
			return nil, nil, false
		}
		if escapes {
			end++
		}
	}
	if end == len(rest) {
		return nil, nil, false
	}
	return slices.Concat(before, field, rest[end:]), bytes.ReplaceAll(rest[:end], []byte(`\"`), []byte(`"`)), true
}
