package provenance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Types of PEM blocks.
const (
	publicBlock  = "PUBLIC KEY"
	privateBlock = "PRIVATE KEY"
)

// Key is a public key that verifies signatures: ECDSA on the curve P-256.
type Key struct {
	// ID is the SHA-256 of the key in DER form, 64 hex characters.
	ID     string
	public *ecdsa.PublicKey
	der    []byte
}

// NewKey returns a public key. It fails for any but ECDSA P-256.
func NewKey(public any) (Key, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Key{}, errors.New("the key is not an ECDSA key on the curve P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Key{}, fmt.Errorf("read public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{ID: hex.EncodeToString(sum[:]), public: key, der: der}, nil
}

// ParseKey reads a public key in PEM form, as `openssl` and `cosign` write it.
func ParseKey(content []byte) (Key, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != publicBlock {
		return Key{}, errors.New("the content is not a public key in PEM form")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, errors.New("the content is not a public key in PEM form")
	}
	return NewKey(public)
}

// PEM returns the key in PEM form.
func (k Key) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: k.der}))
}

// ShortID returns the beginning of the key's ID, for people.
func (k Key) ShortID() string { return ShortID(k.ID) }

// ShortID returns the beginning of a key's ID, for people.
func ShortID(id string) string { return id[:min(len(id), 12)] }

// Signer signs with a private key that it holds or that somebody else holds for it.
type Signer interface {
	// Key returns the public key.
	Key() Key
	// Sign returns the signature, in ASN.1, of a SHA-256 digest.
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// PrivateKey is a Signer that holds its key.
type PrivateKey struct {
	private *ecdsa.PrivateKey
	key     Key
}

// GenerateKey makes a new private key.
func GenerateKey() (*PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return newPrivateKey(private)
}

func newPrivateKey(private *ecdsa.PrivateKey) (*PrivateKey, error) {
	key, err := NewKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{private: private, key: key}, nil
}

// ParsePrivateKey reads a private key in PEM form (PKCS #8). Errors contain nothing of it.
func ParsePrivateKey(content []byte) (*PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != privateBlock {
		return nil, errors.New("the content is not a private key in PEM form (PKCS #8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the content is not a private key in PEM form (PKCS #8)")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not an ECDSA key on the curve P-256")
	}
	return newPrivateKey(private)
}

// PEM returns the private key in PEM form (PKCS #8).
func (p *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.private)
	if err != nil {
		return nil, fmt.Errorf("write signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// Key returns the public key.
func (p *PrivateKey) Key() Key { return p.key }

// Sign returns the signature of a SHA-256 digest.
func (p *PrivateKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	signature, err := ecdsa.SignASN1(rand.Reader, p.private, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}
