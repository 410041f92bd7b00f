package provenance

import (
	"bytes"
	"encoding/json"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

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

// Verified is a statement whose signature verifies, and the manifest that has it.
type Verified struct {
	Record *Record
	// KeyID is the ID of the key that signed.
	KeyID string
	// Statement is the signed bytes.
	Statement []byte
	// Config and Layers are the digests in the manifest.
	Config string
	Layers []string
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

// Verify returns the record of an image that a known key signed, if it is the image that is wanted. Config and Layers of
// want are those of the manifest, whatever the caller sets. digest is the manifest's digest, which the caller has
// computed or compared. The error is ErrUnsigned, ErrUnknownKey, ErrSignature, ErrForm
// or a *MismatchError.
func (v *Verifier) Verify(manifest []byte, digest string, want Claims) (*Verified, error) {
	found, err := v.Read(manifest, digest)
	if err != nil {
		return nil, err
	}
	want.Config, want.Layers = found.Config, found.Layers
	if err := found.Record.Covers(want); err != nil {
		return nil, err
	}
	return found, nil
}

// Read returns the statement of a manifest that a known key signed. It compares the statement with nothing.
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
	manifest := &v1.Manifest{}
	if json.Unmarshal(raw, manifest) != nil {
		return nil, ErrUnsigned
	}
	envelope, signed := manifest.Annotations[imagelabel.Provenance]
	if !signed {
		return nil, ErrUnsigned
	}
	payload, keyID, err := open([]byte(envelope), v.keys)
	if err != nil {
		return nil, err
	}
	// JSON may name a list of layers twice, and then readers differ in which one they take. The controller writes
	// manifests in one form only.
	if again, err := json.Marshal(manifest); err != nil || !bytes.Equal(again, raw) {
		return nil, ErrForm
	}
	record, err := decode(payload)
	if err != nil {
		return nil, err
	}
	found := &Verified{Record: record, KeyID: keyID, Statement: payload, Config: manifest.Config.Digest.String()}
	for _, layer := range manifest.Layers {
		found.Layers = append(found.Layers, layer.Digest.String())
	}
	return found, nil
}
