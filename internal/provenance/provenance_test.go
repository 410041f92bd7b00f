package provenance

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	ocidigest "github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

const repository = "arn:aws:ecr:eu-central-1:123456789012:repository/gitpod-runner-r1/projects/web/image-build"

func digestOf(text string) string { return ocidigest.FromString(text).String() }

// example is a record of an image with layers.
func example(layers, inputs int) *Record {
	record := &Record{
		Claims: Claims{
			RepositoryARN: repository, Hash: strings.Repeat("ab", 32), HashVersion: 1, Platform: "linux/amd64",
			RequestUID: "6f1c1c9e-0f3e-4a2b-9d0b-6f0f5a1d2c3b", Config: digestOf("config"),
		},
		Build: Build{
			Version: "v0.4.0", Cluster: "cluster-1", Namespace: "runner", Project: "web", Request: "e-1-3457bcfa-x7k2p", Service: "app", Trigger: "Prebuild",
			LayersSince: time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC),
			StartedAt:   time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC), FinishedAt: time.Date(2026, 3, 14, 12, 4, 5, 0, time.UTC),
			Stated: Stated{Environment: "e-1", KeyCoverage: "Complete", BuildSeconds: 225},
		},
	}
	for n := range layers {
		record.Layers = append(record.Layers, digestOf(fmt.Sprint("layer ", n)))
	}
	for n := range inputs {
		record.Stated.Inputs = append(record.Stated.Inputs, Input{Name: fmt.Sprint("BuildContext src/", n, ".go"), Digest: digestOf(fmt.Sprint("input ", n))})
	}
	return record
}

// signed returns a manifest with the blobs of a record and an envelope. It sets the record's UnsignedManifest, and may
// change what the statement says.
func signed(t testing.TB, record *Record, signer Signer, change ...func(*Record)) (manifest []byte, digest string) {
	t.Helper()
	raw, err := AddTo(plain(t, record), func(of Claims) ([]byte, error) {
		if of.Config != record.Config || !slices.Equal(of.Layers, record.Layers) {
			t.Errorf("the manifest's claims are %+v", of)
		}
		record.UnsignedManifest = of.UnsignedManifest
		stated := *record
		for _, c := range change {
			c(&stated)
		}
		content, err := ForImage(&stated)
		if err != nil {
			return nil, err
		}
		return Sign(t.Context(), signer, content)
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw, ocidigest.FromBytes(raw).String()
}

// manifestOf returns a manifest with the blobs of a record and any envelope.
func manifestOf(t testing.TB, record *Record, envelope string) (raw []byte, digest string) {
	t.Helper()
	raw = plain(t, record)
	if envelope != "" {
		var err error
		if raw, err = AddTo(raw, func(Claims) ([]byte, error) { return []byte(envelope), nil }); err != nil {
			t.Fatal(err)
		}
	}
	return raw, ocidigest.FromBytes(raw).String()
}

// plain returns a manifest with the blobs of a record.
func plain(t testing.TB, record *Record) []byte {
	t.Helper()
	blob := func(digest string, mediaType types.MediaType) v1.Descriptor {
		hash, err := v1.NewHash(digest)
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{MediaType: mediaType, Digest: hash, Size: 1000}
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: blob(record.Config, types.OCIConfigJSON),
		Annotations: map[string]string{"org.example": "x"},
	}
	for _, layer := range record.Layers {
		manifest.Layers = append(manifest.Layers, blob(layer, types.OCILayer))
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newKey(t testing.TB) *PrivateKey {
	t.Helper()
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignedImageTellsItsRecord(t *testing.T) {
	key, other, record := newKey(t), newKey(t), example(3, 2)
	manifest, digest := signed(t, record, key)
	verifier := NewVerifier(other.Key(), key.Key(), key.Key())
	for range 2 { // the second time, from memory
		got, err := verifier.Verify(manifest, digest, record.Claims)
		if err != nil {
			t.Fatal(err)
		}
		all, err := got.Record(manifest)
		if diff := cmp.Diff(record, all); err != nil || diff != "" {
			t.Error(err, diff)
		}
		brief := *record
		brief.Config, brief.Layers, brief.Stated.Inputs = "", nil, nil
		if diff := cmp.Diff(&brief, got.Brief); diff != "" {
			t.Error(diff)
		}
		if got.KeyID != key.Key().ID {
			t.Errorf("signed by %s, want %s", got.KeyID, key.Key().ID)
		}
	}
	if len(verifier.Keys()) != 2 {
		t.Errorf("%d keys, want 2", len(verifier.Keys()))
	}
}

// TestSubjectsOfAnotherImageAreNoRecord has a statement that names the manifest, and other layers than it.
func TestSubjectsOfAnotherImageAreNoRecord(t *testing.T) {
	key, record := newKey(t), example(2, 1)
	manifest, digest := signed(t, record, key, func(r *Record) { r.Layers = []string{r.Layers[1], r.Layers[0]} })
	found, err := NewVerifier(key.Key()).Read(manifest, digest)
	if err != nil {
		t.Fatal(err)
	}
	var other *MismatchError
	if _, err := found.Record(manifest); !errors.As(err, &other) || other.What != "list of layers" {
		t.Errorf("got %v", err)
	}
}

// TestStatementIsOneOfInTotoAndSLSA reads the statements with the types of their authors.
func TestStatementIsOneOfInTotoAndSLSA(t *testing.T) {
	record := example(2, 2)
	inside, err := ForImage(record)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := ForManifest(record, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web", digestOf("manifest"))
	if err != nil {
		t.Fatal(err)
	}
	for content, subjects := range map[string]int{string(inside): 3, string(attached): 1} {
		statement := &intoto.Statement{}
		if err := protojson.Unmarshal([]byte(content), statement); err != nil {
			t.Fatal(err)
		}
		if err := statement.Validate(); err != nil {
			t.Error(err)
		}
		if len(statement.GetSubject()) != subjects {
			t.Errorf("%d subjects, want %d", len(statement.GetSubject()), subjects)
		}
		raw, err := protojson.Marshal(statement.GetPredicate())
		if err != nil {
			t.Fatal(err)
		}
		predicate := &provenancev1.Provenance{}
		if err := protojson.Unmarshal(raw, predicate); err != nil {
			t.Fatal(err)
		}
		if err := predicate.Validate(); err != nil {
			t.Error(err)
		}
		metadata := predicate.GetRunDetails().GetMetadata()
		if !metadata.GetStartedOn().AsTime().Equal(record.StartedAt) || !metadata.GetFinishedOn().AsTime().Equal(record.FinishedAt) {
			t.Errorf("metadata %v", metadata)
		}
		for _, dependency := range predicate.GetBuildDefinition().GetResolvedDependencies() {
			if dependency.GetAnnotations().GetFields()["statedBy"].GetStringValue() != "runner" {
				t.Errorf("dependency %v does not name the party that stated it", dependency)
			}
		}
	}
}

func TestStatementOfAnotherImageIsNotBelieved(t *testing.T) {
	key, record := newKey(t), example(3, 1)
	verifier := NewVerifier(key.Key())
	signed(t, record, key) // the statement names its manifest
	for what, change := range map[string]func(*Claims){
		"repository":          func(c *Claims) { c.RepositoryARN += "2" },
		"hash":                func(c *Claims) { c.Hash = strings.Repeat("cd", 32) },
		"version of the hash": func(c *Claims) { c.HashVersion = 2 },
		"platform":            func(c *Claims) { c.Platform = "linux/arm64" },
		"request":             func(c *Claims) { c.RequestUID = "another" },
		"configuration":       func(c *Claims) { c.Config = digestOf("evil") },
		"list of layers":      func(c *Claims) { c.Layers = []string{c.Layers[1], c.Layers[0], c.Layers[2]} },
	} {
		t.Run(what, func(t *testing.T) {
			// The manifest is what the attacker has, and its envelope is that of another image.
			mine := *record
			mine.Layers = append([]string(nil), record.Layers...)
			change(&mine.Claims)
			content, err := ForImage(record)
			if err != nil {
				t.Fatal(err)
			}
			envelope, err := Sign(t.Context(), key, content)
			if err != nil {
				t.Fatal(err)
			}
			manifest, digest := manifestOf(t, &mine, string(envelope))
			_, err = verifier.Verify(manifest, digest, mine.Claims)
			var mismatch *MismatchError
			if !errors.As(err, &mismatch) || mismatch.What != what {
				t.Errorf("got %v, want a mismatch of the %s", err, what)
			}
		})
	}
	manifest, digest := signed(t, record, key)
	anyRequest := record.Claims
	anyRequest.RequestUID = ""
	if _, err := verifier.Verify(manifest, digest, anyRequest); err != nil {
		t.Errorf("the request is compared where none is wanted: %v", err)
	}
	// A statement for a referrer is no statement of the image itself.
	attached, err := ForManifest(record, "web", digestOf("manifest"))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := Sign(t.Context(), key, attached)
	if err != nil {
		t.Fatal(err)
	}
	manifest, digest = manifestOf(t, record, string(envelope))
	if _, err := verifier.Verify(manifest, digest, record.Claims); !errors.Is(err, errNotOurs) {
		t.Errorf("got %v, want %v", err, errNotOurs)
	}
}

func TestSignatureThatIsNotOursIsRefused(t *testing.T) {
	key, other, record := newKey(t), newKey(t), example(2, 1)
	content, err := ForImage(record)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := Sign(t.Context(), key, content)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(*dsse.Envelope)) string {
		var parsed dsse.Envelope
		if err := json.Unmarshal(envelope, &parsed); err != nil {
			t.Fatal(err)
		}
		change(&parsed)
		edited, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		return string(edited)
	}
	forged := strings.Replace(string(content), "linux/amd64", "linux/amd65", 1)
	for name, test := range map[string]struct {
		envelope string
		keys     []Key
		want     error
	}{
		"no envelope":         {"", []Key{key.Key()}, ErrUnsigned},
		"no keys":             {string(envelope), nil, ErrUnknownKey},
		"another key":         {string(envelope), []Key{other.Key()}, ErrUnknownKey},
		"no JSON":             {"{", []Key{key.Key()}, ErrSignature},
		"another payload":     {edit(func(e *dsse.Envelope) { e.Payload = base64.StdEncoding.EncodeToString([]byte(forged)) }), []Key{key.Key()}, ErrSignature},
		"another type":        {edit(func(e *dsse.Envelope) { e.PayloadType = "text/plain" }), []Key{key.Key()}, ErrSignature},
		"no signatures":       {edit(func(e *dsse.Envelope) { e.Signatures = nil }), []Key{key.Key()}, ErrSignature},
		"many signatures":     {edit(func(e *dsse.Envelope) { e.Signatures = append(e.Signatures, e.Signatures...) }), []Key{key.Key()}, ErrSignature},
		"the ID of a known":   {edit(func(e *dsse.Envelope) { e.Signatures[0].KeyID = other.Key().ID }), []Key{other.Key()}, ErrSignature},
		"no ID of a key":      {edit(func(e *dsse.Envelope) { e.Signatures[0].KeyID = "" }), []Key{key.Key()}, ErrUnknownKey},
		"far too long":        {edit(func(e *dsse.Envelope) { e.Payload += strings.Repeat("A", maxEnvelopeBytes) }), []Key{key.Key()}, ErrSignature},
		"a broken signature":  {edit(func(e *dsse.Envelope) { e.Signatures[0].Sig = "AAAA" }), []Key{key.Key()}, ErrSignature},
		"no base64":           {edit(func(e *dsse.Envelope) { e.Payload = "*" + e.Payload }), []Key{key.Key()}, ErrSignature},
		"two lines of base64": {edit(func(e *dsse.Envelope) { e.Payload = e.Payload[:40] + "\n" + e.Payload[40:] }), []Key{key.Key()}, ErrForm},
		"more behind it":      {string(envelope) + " ", []Key{key.Key()}, ErrSignature},
		"signature, no bytes": {edit(func(e *dsse.Envelope) { e.Signatures[0].Sig = "" }), []Key{key.Key()}, ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			manifest, digest := manifestOf(t, record, test.envelope)
			if _, err := NewVerifier(test.keys...).Verify(manifest, digest, record.Claims); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	var nobody *Verifier
	manifest, digest := manifestOf(t, record, string(envelope))
	if _, err := nobody.Verify(manifest, digest, record.Claims); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without a verifier: %v", err)
	}
}

func TestLongestStatementFits(t *testing.T) {
	record := example(127, 0)
	for n := range 32 { // control characters are the longest in JSON
		record.Stated.Inputs = append(record.Stated.Inputs, Input{Name: fmt.Sprintf("%c%s", rune('A'+n), strings.Repeat("\x01", 255)), Digest: digestOf("x")})
	}
	record.Stated.Environment, record.Project, record.Request = strings.Repeat("e", 128), strings.Repeat("p", 253), strings.Repeat("r", 253)
	record.Namespace, record.RepositoryARN = strings.Repeat("n", 63), strings.Repeat("a", 330)
	key := newKey(t)
	manifest, digest := signed(t, record, key)
	if _, err := NewVerifier(key.Key()).Verify(manifest, digest, record.Claims); err != nil {
		t.Error(err)
	}
	t.Logf("the manifest has %d bytes", len(manifest))
	record.Project = strings.Repeat("p", MaxStatementBytes)
	if _, err := ForImage(record); err == nil {
		t.Error("a statement beyond the limit is written")
	}
}

// BenchmarkVerify measures what a signature costs a lookup: of an image that this process has not verified yet, and of
// one that it has.
func BenchmarkVerify(b *testing.B) {
	key := newKey(b)
	for name, record := range map[string]*Record{"12 layers, 5 inputs": example(12, 5), "127 layers, 32 inputs": example(127, 32)} {
		manifest, digest := signed(b, record, key)
		b.Run("new/"+name, func(b *testing.B) {
			b.ReportMetric(float64(len(manifest)), "manifest-bytes")
			for b.Loop() {
				if _, err := NewVerifier(key.Key()).Verify(manifest, digest, record.Claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("known/"+name, func(b *testing.B) {
			verifier := NewVerifier(key.Key())
			for b.Loop() {
				if _, err := verifier.Verify(manifest, digest, record.Claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
