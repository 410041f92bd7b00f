package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// AddTo returns an image's manifest with an envelope in its annotation. sign makes the envelope; its statement must name
// the digest of the unsigned manifest, in which the annotation is empty.
func AddTo(manifest []byte, sign func(unsignedDigest string) (envelope []byte, err error)) ([]byte, error) {
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
	envelope, err := sign(ocidigest.FromBytes(unsigned).String())
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

// unsignedDigest returns the digest that the statement in a manifest must name, if the manifest has its envelope as AddTo
// writes it. Quotes in JSON's strings are escaped, so what is cut out is a field, and a digest that the statement names
// is that of a manifest with one such field.
func unsignedDigest(manifest []byte, envelope string) (digest string, ok bool) {
	encoded, err := json.Marshal(envelope)
	if err != nil {
		return "", false
	}
	field := []byte(`"` + imagelabel.Provenance + `":`)
	before, rest, _ := bytes.Cut(manifest, field)
	after, found := bytes.CutPrefix(rest, encoded)
	if !found {
		return "", false
	}
	hash := ocidigest.SHA256.Digester()
	for _, part := range [][]byte{before, field, []byte(`""`), after} {
		_, _ = hash.Hash().Write(part) // a hash fails never
	}
	return hash.Digest().String(), true
}
