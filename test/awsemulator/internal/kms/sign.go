package kms

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
)

const ecdsaSHA256 = "ECDSA_SHA_256"

// maxMessage is the longest message that KMS hashes itself:
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
const maxMessage = 4096

// signer authorises an action on a key and refuses keys that can't sign.
func (k *Keys) signer(c *caller.Caller, action, id string, ctx policy.Context) (*key, error) {
	found, err := k.open(c, action, id, ctx)
	if err != nil {
		return nil, err
	}
	if err := found.usable(); err != nil {
		return nil, err
	}
	if found.private == nil {
		if action == "GetPublicKey" {
			return nil, apierror.New("UnsupportedOperationException", "%s is a symmetric key and has no public key", found.arn)
		}
		return nil, apierror.New("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", found.arn, found.usage, action)
	}
	return found, nil
}

type publicKeyOut struct {
	KeyID             string   `json:"KeyId"`
	KeySpec           string   `json:"KeySpec"`
	MasterKeySpec     string   `json:"CustomerMasterKeySpec"`
	KeyUsage          string   `json:"KeyUsage"`
	PublicKey         []byte   `json:"PublicKey"`
	SigningAlgorithms []string `json:"SigningAlgorithms"`
}

// getPublicKey answers the key in DER.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
func (k *Keys) getPublicKey(c *caller.Caller, in *keyIn) (*publicKeyOut, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.signer(c, "GetPublicKey", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&found.private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	return &publicKeyOut{found.arn, found.spec, found.spec, found.usage, der, []string{ecdsaSHA256}}, nil
}

type signIn struct {
	KeyID       string   `json:"KeyId"`
	Message     []byte   `json:"Message"`
	MessageType string   `json:"MessageType"`
	Algorithm   string   `json:"SigningAlgorithm"`
	GrantTokens []string `json:"GrantTokens"`
}

type signOut struct {
	KeyID     string `json:"KeyId"`
	Signature []byte `json:"Signature"`
	Algorithm string `json:"SigningAlgorithm"`
}

func (k *Keys) sign(c *caller.Caller, in *signIn) (*signOut, error) {
	if in.MessageType == "" {
		in.MessageType = "RAW"
	}
	ctx := policy.Context{}
	ctx.Set("kms:MessageType", in.MessageType)
	ctx.Set("kms:SigningAlgorithm", in.Algorithm)
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.signer(c, "Sign", in.KeyID, ctx)
	if err != nil {
		return nil, err
	}
	if in.Algorithm != ecdsaSHA256 {
		return nil, apierror.New("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", in.Algorithm, found.spec)
	}
	digest := in.Message
	switch {
	case in.MessageType == "RAW" && (len(in.Message) == 0 || len(in.Message) > maxMessage):
		return nil, apierror.New("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length between 1 and %d", maxMessage)
	case in.MessageType == "RAW":
		sum := sha256.Sum256(in.Message)
		digest = sum[:]
	case in.MessageType != "DIGEST":
		return nil, apierror.NotEmulated("message type " + in.MessageType)
	case len(digest) != sha256.Size:
		return nil, apierror.New("ValidationException", "Digest is invalid length for algorithm %s.", in.Algorithm)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, found.private, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return &signOut{found.arn, signature, in.Algorithm}, nil
}
