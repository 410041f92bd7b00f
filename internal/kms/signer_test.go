package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"imagecache.dev/internal/provenance"
)

const keyARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// fakeKMS holds one key, as KMS does.
type fakeKMS struct {
	private *ecdsa.PrivateKey
	spec    types.KeySpec
	usage   types.KeyUsageType
	asked   []string // IDs of keys, by call
	err     error
}

func newFake(t *testing.T) *fakeKMS {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeKMS{private: private, spec: types.KeySpecEccNistP256, usage: types.KeyUsageTypeSignVerify}
}

func (f *fakeKMS) GetPublicKey(_ context.Context, in *awskms.GetPublicKeyInput, _ ...func(*awskms.Options)) (*awskms.GetPublicKeyOutput, error) {
	f.asked = append(f.asked, *in.KeyId)
	if f.err != nil {
		return nil, f.err
	}
	der, err := x509.MarshalPKIXPublicKey(&f.private.PublicKey)
	arn := keyARN
	return &awskms.GetPublicKeyOutput{KeyId: &arn, PublicKey: der, KeySpec: f.spec, KeyUsage: f.usage}, err
}

func (f *fakeKMS) Sign(_ context.Context, in *awskms.SignInput, _ ...func(*awskms.Options)) (*awskms.SignOutput, error) {
	f.asked = append(f.asked, *in.KeyId)
	if f.err != nil {
		return nil, f.err
	}
	if in.MessageType != types.MessageTypeDigest || in.SigningAlgorithm != types.SigningAlgorithmSpecEcdsaSha256 || len(in.Message) != 32 {
		return nil, errors.New("ValidationException")
	}
	signature, err := ecdsa.SignASN1(rand.Reader, f.private, in.Message)
	return &awskms.SignOutput{Signature: signature}, err
}

func TestAddressOfAKey(t *testing.T) {
	for address, want := range map[string]Key{
		"awskms:///alias/imagecache":                 {ID: "alias/imagecache"},
		"awskms:///1234abcd-12ab":                    {ID: "1234abcd-12ab"},
		"awskms:///" + keyARN:                        {ID: keyARN, Region: "eu-central-1"},
		"awskms:///":                                 {},
		"awskms://localhost:4566/x":                  {},
		"gcpkms://projects/x":                        {},
		"alias/imagecache":                           {},
		"awskms:///arn:aws:iam::123456789012:role/x": {},
	} {
		got, err := ParseKey(address)
		if got != want || (err == nil) != (want != Key{}) {
			t.Errorf("%s: %+v, %v; want %+v", address, got, err, want)
		}
	}
}

func TestSignatureOfKMSVerifies(t *testing.T) {
	fake := newFake(t)
	signer, err := newSigner(t.Context(), fake, Key{ID: "alias/imagecache"})
	if err != nil {
		t.Fatal(err)
	}
	statement, err := provenance.ForImage(&provenance.Record{Claims: provenance.Claims{Hash: "h", Config: "sha256:c"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provenance.Sign(t.Context(), signer, statement); err != nil {
		t.Error(err)
	}
	if got := strings.Join(fake.asked, " "); got != "alias/imagecache "+keyARN {
		t.Errorf("asked for %s; signatures must name the key that the alias named first", got)
	}
	// KMS that signs with another key than it said is found out before the image is published.
	fake.private = newFake(t).private
	if _, err := provenance.Sign(t.Context(), signer, statement); !errors.Is(err, provenance.ErrSignature) {
		t.Errorf("a signature of another key: %v", err)
	}
	fake.err = errors.New("KMSInternalException")
	if _, err := provenance.Sign(t.Context(), signer, statement); !errors.Is(err, fake.err) {
		t.Errorf("got %v, want %v", err, fake.err)
	}
}

func TestKeyOfAnotherKindIsRefused(t *testing.T) {
	for name, change := range map[string]func(*fakeKMS){
		"RSA":            func(f *fakeKMS) { f.spec = types.KeySpecRsa2048 },
		"for agreements": func(f *fakeKMS) { f.usage = types.KeyUsageTypeKeyAgreement },
		"no right":       func(f *fakeKMS) { f.err = errors.New("AccessDeniedException") },
	} {
		fake := newFake(t)
		change(fake)
		if _, err := newSigner(t.Context(), fake, Key{ID: "x"}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
