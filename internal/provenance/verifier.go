package provenance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"sync"

	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/lru"
)

// verifiedBytes limits the memory for records that were verified: some thousand of them.
const verifiedBytes = 16 << 20

// Verifier verifies the statements in manifests with a set of keys. It remembers the results by the manifests' digests,
// so that only the first lookup of an image verifies a signature. Other keys need another Verifier. It is safe for
// concurrent use. Nil knows no key.
type Verifier struct {
	keys map[string]Key
	list []Key

	mu       sync.Mutex
	verified *lru.Cache[string, *Verified]
}

// Verified is a statement whose signature verifies, and which is about the manifest that has it.
type Verified struct {
	// Brief is what the statement says, less Config, Layers and Stated.Inputs.
	Brief *Record
	// KeyID is the ID of the key that signed.
	KeyID string
	// Statement is the signed bytes.
	Statement []byte
}

// Record returns all that the statement says, if its subjects are the configuration and the layers of the manifest that
// was verified: other tools compare these. The error is a *MismatchError, or says that the statement can't be read.
func (v *Verified) Record(manifest []byte) (*Record, error) {
	whole, err := v.Brief.whole(v.Statement)
	if err != nil {
		return nil, err
	}
	return whole, compareBlobs(whole, manifest)
}

// NewVerifier returns a Verifier with keys.
func NewVerifier(keys ...Key) *Verifier {
	v := &Verifier{keys: map[string]Key{}, verified: lru.New[string, *Verified](verifiedBytes)}
	for _, key := range keys {
		if _, twice := v.keys[key.ID]; !twice {
			v.keys[key.ID] = key
			v.list = append(v.list, key)
		}
	}
	return v
}

// Keys returns the keys. Callers must not change the slice.
func (v *Verifier) Keys() []Key {
	if v == nil {
		return nil
	}
	return v.list
}

// Verify returns the record of an image that a known key signed, if it is the image that is wanted. Config, Layers and
// UnsignedManifest of want are those of the manifest, whatever the caller sets. digest is the manifest's digest, which
// the caller has computed or compared. The error is ErrUnsigned, ErrUnknownKey, ErrSignature, ErrForm or a
// *MismatchError.
func (v *Verifier) Verify(manifest []byte, digest string, want Claims) (*Verified, error) {
	found, err := v.Read(manifest, digest)
	if err != nil {
		return nil, err
	}
	signed := &found.Brief.Claims
	want.Config, want.Layers, want.UnsignedManifest = signed.Config, signed.Layers, signed.UnsignedManifest
	if err := found.Brief.Covers(want); err != nil {
		return nil, err
	}
	return found, nil
}

// Read returns the statement of a manifest that a known key signed. It compares the statement with the manifest alone.
func (v *Verifier) Read(manifest []byte, digest string) (*Verified, error) {
	if v == nil || len(v.keys) == 0 {
		return nil, ErrUnknownKey
	}
	v.mu.Lock()
	known, ok := v.verified.Get(digest)
	v.mu.Unlock()
	if ok {
		return known, nil
	}
	found, err := v.read(manifest)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.verified.Set(digest, found, 2*len(found.Statement)+512)
	v.mu.Unlock()
	return found, nil
}

func (v *Verifier) read(raw []byte) (*Verified, error) {
	unsigned, envelope, ok := split(raw)
	if !ok && bytes.Contains(raw, []byte(imagelabel.Provenance)) {
		return nil, ErrForm
	}
	if !ok {
		return nil, ErrUnsigned
	}
	payload, keyID, err := open(envelope, v.keys)
	if err != nil {
		return nil, err
	}
	record, err := decode(payload)
	if err != nil {
		return nil, err
	}
	// The signature covers the manifest by its bytes: digests, media types and sizes, and fields that are not expected.
	// JSON may also name a list of layers twice, and then readers differ in which one they take.
	if ocidigest.FromBytes(unsigned).String() != record.UnsignedManifest {
		return nil, differenceOf(record, payload, unsigned)
	}
	return &Verified{Brief: record, KeyID: keyID, Statement: payload}, nil
}

// differenceOf returns how a manifest differs from the one that was signed: a *MismatchError if it is another image's,
// or ErrForm.
func differenceOf(record *Record, payload, unsigned []byte) error {
	whole, err := record.whole(payload)
	if err == nil {
		err = compareBlobs(whole, unsigned)
	}
	return cmp.Or(err, ErrForm)
}

// compareBlobs returns a *MismatchError if a record names another configuration or other layers than a manifest, and
// ErrForm if the manifest can't be read.
func compareBlobs(whole *Record, raw []byte) error {
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if json.Unmarshal(raw, &manifest) != nil {
		return ErrForm
	}
	here := whole.Claims
	here.Config, here.Layers = manifest.Config.Digest, nil
	for _, layer := range manifest.Layers {
		here.Layers = append(here.Layers, layer.Digest)
	}
	return whole.Covers(here)
}
