// Package kms signs with an asymmetric key of AWS KMS. The private key never leaves KMS.
package kms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/provenance"
)

// prefix begins the address of a key, as cosign and other tools write it, without an endpoint.
const prefix = "awskms:///"

// Key names a key of KMS.
type Key struct {
	// ID is the key's ID or ARN, or alias/NAME or its ARN.
	ID string
	// Region is the region of an ARN, and empty otherwise.
	Region string
}

// ParseKey reads the address of a key, awskms:///KEY.
func ParseKey(address string) (Key, error) {
	id, ok := strings.CutPrefix(address, prefix)
	if !ok || id == "" {
		return Key{}, fmt.Errorf(
			"%q is not the address of a key of AWS KMS; write awskms:///KEY, where KEY is an ID, an ARN or alias/NAME", address,
		)
	}
	if !arn.IsARN(id) {
		return Key{ID: id}, nil
	}
	parsed, err := arn.Parse(id)
	if err != nil || parsed.Service != "kms" || parsed.Region == "" {
		return Key{}, fmt.Errorf("%q is not the ARN of a key of AWS KMS", id)
	}
	return Key{ID: id, Region: parsed.Region}, nil
}

// api is the part of KMS that a Signer calls; *awskms.Client implements it.
type api interface {
	GetPublicKey(
		context.Context, *awskms.GetPublicKeyInput, ...func(*awskms.Options),
	) (*awskms.GetPublicKeyOutput, error)
	Sign(context.Context, *awskms.SignInput, ...func(*awskms.Options)) (*awskms.SignOutput, error)
}

// Signer signs with a key of KMS. It is safe for concurrent use.
type Signer struct {
	api api
	// arn is the key's ARN. An alias that names another key later changes nothing for this Signer.
	arn string
	key provenance.Key
}

// NewSigner reads the public key of a key of KMS. It fails for a key that is not for signatures by ECDSA on the curve
// P-256.
func NewSigner(ctx context.Context, clients *aws.Clients, key Key) (*Signer, error) {
	return newSigner(ctx, clients.KMS, key)
}

func newSigner(ctx context.Context, api api, key Key) (*Signer, error) {
	out, err := api.GetPublicKey(ctx, &awskms.GetPublicKeyInput{KeyId: &key.ID})
	if err != nil {
		return nil, fmt.Errorf("get the public key of KMS key %s: %w", key.ID, err)
	}
	if out.KeySpec != types.KeySpecEccNistP256 || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, fmt.Errorf(
			"KMS key %s has the spec %s and the usage %s, but must have %s and %s", key.ID, out.KeySpec, out.KeyUsage,
			types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify,
		)
	}
	public, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("read the public key of KMS key %s: %w", key.ID, err)
	}
	verifies, err := provenance.NewKey(public)
	if err != nil {
		return nil, fmt.Errorf("read the public key of KMS key %s: %w", key.ID, err)
	}
	return &Signer{api: api, arn: awssdk.ToString(out.KeyId), key: verifies}, nil
}

// Key returns the public key.
func (s *Signer) Key() provenance.Key { return s.key }

// Sign returns the signature of a SHA-256 digest. It costs one call.
func (s *Signer) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	out, err := s.api.Sign(ctx, &awskms.SignInput{
		KeyId: &s.arn, Message: digest, MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return nil, fmt.Errorf("sign with KMS key %s: %w", s.arn, err)
	}
	if len(out.Signature) == 0 {
		return nil, errors.New("sign with KMS key " + s.arn + ": the answer has no signature")
	}
	return out.Signature, nil
}
