package attestation

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocidigest "github.com/opencontainers/go-digest"
)

func envelope(payload string, signatures int) []byte {
	list := make([]map[string]string, signatures)
	for n := range list {
		list[n] = map[string]string{"keyid": "key-1", "sig": "c2ln"}
	}
	content, _ := json.Marshal(map[string]any{"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": list})
	return content
}

func TestReferrerHasTheBundleAndSaysWhatItIsAbout(t *testing.T) {
	statement := base64.StdEncoding.EncodeToString([]byte(`{"predicateType":"https://slsa.dev/provenance/v1"}`))
	bundle, err := NewBundle(envelope(statement, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"dsseEnvelope":{"payload":%q,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"c2ln"}]},"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"key-1"}}}`, statement)
	if diff := cmp.Diff(want, string(bundle.Content)); diff != "" {
		t.Errorf("the bundle differs (-want +got):\n%s", diff)
	}
	got, err := bundle.Referrer(Subject{MediaType: ManifestType, Digest: "sha256:abc", SizeBytes: 7}, time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},`+
		`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":%q,"size":%d}],`+
		`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:abc","size":7},`+
		`"annotations":{"dev.imagecache.key":"key-1","dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://slsa.dev/provenance/v1","org.opencontainers.image.created":"2026-03-14T12:00:00Z"}}`,
		ocidigest.FromBytes(bundle.Content), len(bundle.Content))
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the referrer differs (-want +got):\n%s", diff)
	}
}

func TestBundleNeedsOneSignedStatement(t *testing.T) {
	statement := base64.StdEncoding.EncodeToString([]byte(`{"predicateType":"p"}`))
	for name, content := range map[string][]byte{
		"no JSON":           []byte("{"),
		"no signature":      envelope(statement, 0),
		"two signatures":    envelope(statement, 2),
		"no base64":         envelope("*", 1),
		"no statement":      envelope(base64.StdEncoding.EncodeToString([]byte("[]")), 1),
		"no predicate type": envelope(base64.StdEncoding.EncodeToString([]byte("{}")), 1),
	} {
		if _, err := NewBundle(content); err == nil {
			t.Errorf("%s: NewBundle accepts it", name)
		}
	}
}
