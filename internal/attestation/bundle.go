// Package attestation writes a signed statement as a referrer of the image that it is about, in the form in which
// cosign looks for it. It is pure.
package attestation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	ocidigest "github.com/opencontainers/go-digest"
)

// Types of a referrer: https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md,
// https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage.
const (
	// BundleType is the media type of a bundle, and the artifact type of the referrer that has it.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// ManifestType is the media type of the referrer's manifest.
	ManifestType = "application/vnd.oci.image.manifest.v1+json"

	emptyType = "application/vnd.oci.empty.v1+json"
)

// Annotations by which cosign finds a bundle, and tells what it is about without reading it.
const (
	annotationContent       = "dev.sigstore.bundle.content"
	annotationPredicateType = "dev.sigstore.bundle.predicateType"
	annotationCreated       = "org.opencontainers.image.created"
	contentDSSE             = "dsse-envelope"
)

// AnnotationKey is the ID of the key that signed the statement of a referrer.
const AnnotationKey = "dev.imagecache.key"

// Empty is the content of the referrer's configuration, which has none.
var Empty = []byte("{}")

// descriptor names a blob or a manifest.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       descriptor        `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// Subject is the manifest that a statement is about.
type Subject struct {
	MediaType string
	Digest    string
	SizeBytes int
}

// Bundle is a signed statement as cosign stores it.
type Bundle struct {
	// Content is the bundle's bytes.
	Content []byte

	predicateType, keyID string
}

// dsse is an envelope: https://github.com/secure-systems-lab/dsse/blob/master/envelope.md.
type dsse struct {
	Payload     string      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid,omitempty"`
	Sig   string `json:"sig"`
}

// NewBundle returns a DSSE envelope as a Sigstore bundle that names the key that signed it. It has no entry of a
// transparency log and no timestamp: nothing of an image leaves the account.
func NewBundle(envelope []byte) (*Bundle, error) {
	var signed dsse
	if err := json.Unmarshal(envelope, &signed); err != nil {
		return nil, fmt.Errorf("write a bundle: the envelope is not valid JSON: %w", err)
	}
	if len(signed.Signatures) != 1 {
		return nil, fmt.Errorf("write a bundle: the envelope has %d signatures, not one", len(signed.Signatures))
	}
	statement, err := base64.StdEncoding.DecodeString(signed.Payload)
	if err != nil {
		return nil, fmt.Errorf("write a bundle: the payload is not base64: %w", err)
	}
	var about struct {
		PredicateType string `json:"predicateType"`
	}
	if err := json.Unmarshal(statement, &about); err != nil || about.PredicateType == "" {
		return nil, errors.New("write a bundle: the payload is not a statement with a predicate type")
	}
	bundle := &Bundle{predicateType: about.PredicateType, keyID: signed.Signatures[0].KeyID}
	// cosign skips a signature whose key has another ID than cosign would give it. The ID is not signed.
	signed.Signatures[0].KeyID = ""
	bundle.Content, err = json.Marshal(map[string]any{
		"mediaType":            BundleType,
		"verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": bundle.keyID}},
		"dsseEnvelope":         signed,
	})
	if err != nil {
		return nil, fmt.Errorf("write a bundle: %w", err)
	}
	return bundle, nil
}

// Referrer returns the manifest that attaches the bundle to an image. The registry needs Empty and the bundle's content
// as blobs.
func (b *Bundle) Referrer(subject Subject, created time.Time) ([]byte, error) {
	content, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: ManifestType, ArtifactType: BundleType,
		Config:  describe(emptyType, Empty),
		Layers:  []descriptor{describe(BundleType, b.Content)},
		Subject: descriptor{subject.MediaType, subject.Digest, subject.SizeBytes},
		Annotations: map[string]string{
			annotationContent: contentDSSE, annotationPredicateType: b.predicateType, AnnotationKey: b.keyID,
			annotationCreated: created.UTC().Format(time.RFC3339),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write a referrer: %w", err)
	}
	return content, nil
}

func describe(mediaType string, content []byte) descriptor {
	return descriptor{mediaType, ocidigest.FromBytes(content).String(), len(content)}
}
