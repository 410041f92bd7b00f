package provenance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// maxEnvelopeBytes limits an envelope before it is parsed: a statement in base64, a signature, and their names.
const maxEnvelopeBytes = MaxStatementBytes*4/3 + 4<<10

// Reasons why an image's statement is not believed. A *MismatchError is another.
var (
	// ErrUnsigned: the image has no signature of the cache.
	ErrUnsigned = errors.New("the image has no signature")
	// ErrUnknownKey: no known key made the signature.
	ErrUnknownKey = errors.New("the image's signature is not from a key that is known")
	// ErrForm: the manifest has a signature, but is not the one that was signed: it has another form, another size or
	// media type, or further fields.
	ErrForm = errors.New("the image's manifest is not the one that was signed")
	// ErrSignature: the signature names a known key, which did not make it.
	ErrSignature = errors.New("the image's signature does not verify")
)

// Sign returns a statement in an envelope with a signature. It verifies its own signature: a signer elsewhere may have
// taken another key.
func Sign(ctx context.Context, signer Signer, content []byte) ([]byte, error) {
	adapter := dsseSigner{signer}
	signing, err := dsse.NewEnvelopeSigner(adapter)
	if err != nil {
		return nil, fmt.Errorf("sign provenance: %w", err)
	}
	envelope, err := signing.SignPayload(ctx, payloadType, content)
	if err != nil {
		return nil, fmt.Errorf("sign provenance: %w", err)
	}
	encoded, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("sign provenance: %w", err)
	}
	if _, _, err := open(encoded, map[string]Key{signer.Key().ID: signer.Key()}); err != nil {
		return nil, fmt.Errorf("sign provenance: %w", err)
	}
	return encoded, nil
}

// open returns the payload of an envelope that one of the keys signed, and that key's ID.
func open(encoded []byte, keys map[string]Key) (payload []byte, keyID string, err error) {
	if len(encoded) > maxEnvelopeBytes {
		return nil, "", ErrSignature
	}
	envelope, ok := parse(string(encoded))
	if !ok {
		return nil, "", ErrSignature
	}
	key, known := keys[envelope.Signatures[0].KeyID]
	if !known {
		return nil, "", ErrUnknownKey
	}
	verifier, err := dsse.NewEnvelopeVerifier(dsseVerifier{key})
	if err != nil {
		return nil, "", ErrSignature
	}
	_, payload, err = verifier.VerifyAndDecode(context.Background(), envelope)
	if err != nil {
		return nil, "", ErrSignature
	}
	return payload, key.ID, nil
}

// parse reads an envelope in the form in which Sign writes it, which is the only one that counts: one signature, so a
// foreign envelope costs one verification at most, and nothing beside what is signed. Nothing in it needs to be
// escaped.
func parse(encoded string) (envelope *dsse.Envelope, ok bool) {
	var parts [3]string
	rest, ok := strings.CutPrefix(encoded, `{"payloadType":"`+payloadType+`","payload":"`)
	for n, end := range []string{`","signatures":[{"keyid":"`, `","sig":"`, `"}]}`} {
		var found bool
		parts[n], rest, found = strings.Cut(rest, end)
		ok = ok && found && !strings.ContainsAny(parts[n], "\"\\\r\n")
	}
	return &dsse.Envelope{
		PayloadType: payloadType, Payload: parts[0], Signatures: []dsse.Signature{{KeyID: parts[1], Sig: parts[2]}},
	}, ok && rest == ""
}

// dsseVerifier is a Key as the DSSE library wants it.
type dsseVerifier struct{ key Key }

func (v dsseVerifier) KeyID() (string, error)   { return v.key.ID, nil }
func (v dsseVerifier) Public() crypto.PublicKey { return v.key.public }

func (v dsseVerifier) Verify(_ context.Context, data, signature []byte) error {
	digest := sha256.Sum256(data)
	if !ecdsa.VerifyASN1(v.key.public, digest[:], signature) {
		return ErrSignature
	}
	return nil
}

// dsseSigner is a Signer as the DSSE library wants it.
type dsseSigner struct{ signer Signer }

func (s dsseSigner) KeyID() (string, error) { return s.signer.Key().ID, nil }

func (s dsseSigner) Sign(ctx context.Context, data []byte) ([]byte, error) {
	digest := sha256.Sum256(data)
	return s.signer.Sign(ctx, digest[:])
}
