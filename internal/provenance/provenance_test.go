package provenance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
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

	"imagecache.dev/internal/imagelabel"
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

// signed returns a manifest with the blobs of a record and an envelope. It sets the record's UnsignedManifest.
func signed(t testing.TB, record *Record, signer Signer) (manifest []byte, digest string) {
	t.Helper()
	raw, err := AddTo(plain(t, record), func(unsigned string) ([]byte, error) {
		record.UnsignedManifest = unsigned
		content, err := ForImage(record)
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
		if raw, err = AddTo(raw, func(string) ([]byte, error) { return []byte(envelope), nil }); err != nil {
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
		if diff := cmp.Diff(record, got.Record); diff != "" {
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

// TestManifestThatIsNotTheSignedOneIsRefused changes a signed manifest and leaves the digests in it as they are: so that
// one reader takes a list of layers that another does not, or so that an engine can't pull the image, or asks another
// server for it.
func TestManifestThatIsNotTheSignedOneIsRefused(t *testing.T) {
	key, record := newKey(t), example(2, 1)
	manifest, digest := signed(t, record, key)
	if _, err := NewVerifier(key.Key()).Verify(manifest, digest, record.Claims); err != nil {
		t.Fatal(err)
	}
	layer := `"digest":"` + record.Layers[0] + `"`
	field := `"` + imagelabel.Provenance + `":`
	for name, change := range map[string][2]string{
		"two lists":               {`{`, `{"layers":[],`},
		"another case":            {`{`, `{"Layers":[],`},
		"spaces":                  {`{`, `{ `},
		"another field":           {`{`, `{"blobs":[],`},
		"a subject":               {`{`, `{"subject":{"mediaType":"x","size":1,"digest":"` + record.Layers[0] + `"},`},
		"another size":            {`"size":1000,` + layer, `"size":1001,` + layer},
		"another media type":      {string(types.OCILayer), string(types.OCILayerZStd)},
		"another kind of image":   {string(types.OCIConfigJSON), "application/vnd.example+json"},
		"an address of a layer":   {layer, layer + `,"urls":["https://registry.example/blob"]`},
		"a layer's annotation":    {layer, layer + `,"annotations":{"` + imagelabel.UncompressedBytes + `":"1"}`},
		"an annotation":           {`"org.example":"x"`, `"org.example":"y"`},
		"an annotation is gone":   {`,"org.example":"x"`, ``},
		"the statement, escaped":  {field + `"{\"`, field + `"\u007b\"`},
		"a line in the statement": {field + `"`, field + "\"\n"},
		"an envelope before it":   {field, field + `"",` + field},
		"an envelope with more":   {`\"payload\":`, `\"more\":1,\"payload\":`},
		"an envelope with spaces": {`\"payload\":`, ` \"payload\":`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := strings.Replace(string(manifest), change[0], change[1], 1)
			if raw == string(manifest) {
				t.Fatalf("nothing changed in %s", raw)
			}
			_, err := NewVerifier(key.Key()).Verify([]byte(raw), ocidigest.FromString(raw).String(), record.Claims)
			if want := map[bool]error{true: ErrSignature, false: ErrForm}[strings.HasPrefix(name, "an envelope")]; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
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

func TestKeysAreReadAndWritten(t *testing.T) {
	key := newKey(t)
	content, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivateKey(content)
	if err != nil || again.Key().ID != key.Key().ID {
		t.Errorf("private key: %v", err)
	}
	public, err := ParseKey([]byte(key.Key().PEM()))
	if err != nil || public.ID != key.Key().ID || len(public.ID) != 64 {
		t.Errorf("public key: %v", err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(&wide.PublicKey); err == nil {
		t.Error("a key on another curve is accepted")
	}
	der, err := x509.MarshalPKCS8PrivateKey(wide)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a public key": key.Key().PEM(), "nothing": "", "no PEM": "secret-text",
		"another curve": string(pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der})),
		"a broken key":  string(pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: []byte("secret-text")})),
	} {
		if _, err := ParsePrivateKey([]byte(content)); err == nil || strings.Contains(err.Error(), "secret-text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRotatedSetVerifiesWithItsEarlierKeys(t *testing.T) {
	entries, err := NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	first, err := ParseKeySet(entries)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if entries, err = Rotate(entries); err != nil {
			t.Fatal(err)
		}
	}
	set, err := ParseKeySet(entries)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, key := range set.Keys() {
		ids = append(ids, key.ID)
	}
	if len(ids) != 3 || ids[0] != set.Signer.Key().ID || ids[0] == first.Signer.Key().ID {
		t.Errorf("keys %v", ids)
	}
	if _, kept := entries[first.Signer.Key().ShortID()+VerifySuffix]; !kept {
		t.Errorf("the first key is not among %d entries", len(entries))
	}
	for len(entries) < MaxKeys {
		entries[fmt.Sprint(len(entries), VerifySuffix)] = []byte(newKey(t).Key().PEM())
	}
	if _, err := Rotate(entries); err == nil {
		t.Error("a full set is rotated")
	}
}

func TestBrokenSetIsRefused(t *testing.T) {
	entries, err := NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string][]byte){
		"a broken private key": func(e map[string][]byte) { e[SigningEntry] = []byte("x") },
		"a broken public key":  func(e map[string][]byte) { e["old.pub"] = []byte("x") },
		"an unknown entry":     func(e map[string][]byte) { e["notes"] = []byte("x") },
		"too many": func(e map[string][]byte) {
			for n := range MaxKeys {
				e[fmt.Sprint(n, VerifySuffix)] = []byte(newKey(t).Key().PEM())
			}
		},
	} {
		changed := map[string][]byte{SigningEntry: entries[SigningEntry]}
		change(changed)
		if set, err := ParseKeySet(changed); err == nil {
			t.Errorf("%s: %d keys", name, len(set.Keys()))
		}
	}
}

func FuzzVerify(f *testing.F) {
	key, record := newKey(f), example(2, 1)
	manifest, _ := signed(f, record, key)
	verifier := NewVerifier(key.Key())
	f.Add(manifest)
	f.Add([]byte(`{"annotations":{"dev.imagecache.provenance":"{}"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := verifier.Verify(raw, ocidigest.FromBytes(raw).String(), record.Claims)
		if err != nil {
			return
		}
		parsed, err := v1.ParseManifest(bytes.NewReader(raw))
		if err != nil || parsed.Config.Digest.String() != record.Config || len(parsed.Layers) != len(record.Layers) || found.Record.Hash != record.Hash {
			t.Fatalf("another image is verified: %v, %s", err, raw)
		}
		for n, layer := range parsed.Layers {
			if layer.Digest.String() != record.Layers[n] || layer.Size != 1000 || len(layer.URLs) > 0 {
				t.Errorf("another image is verified: %s", raw)
			}
		}
	})
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
