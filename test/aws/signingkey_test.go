package aws

import (
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/kms"
	"imagecache.dev/internal/provenance"
)

// TestRoleSignsWithItsKeyAlone signs as the controller, with the key that its stack names and with another.
func TestRoleSignsWithItsKeyAlone(t *testing.T) {
	w := newWorld(t, false)
	root := awskms.NewFromConfig(w.root)
	var keys []string
	for range 2 {
		made, err := root.CreateKey(t.Context(), &awskms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, *made.KeyMetadata.Arn)
	}
	w.actAs(t, w.deploy(t, "signs", "controller.yaml", map[string]string{
		"RoleName": "signs", "TrustedPrincipalArn": "arn:aws:iam::" + w.AccountID() + ":root", "SigningKeyArn": keys[0],
	})["ControllerRoleArn"])
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	clients := provider.Clients(aws.Target{Region: w.Region()})
	if _, err := kms.NewSigner(t.Context(), clients, kms.Key{ID: keys[1]}); err == nil || !strings.Contains(err.Error(), "kms:GetPublicKey") {
		t.Errorf("the other key: %v, want a refusal", err)
	}
	signer, err := kms.NewSigner(t.Context(), clients, kms.Key{ID: keys[0]})
	if err != nil {
		t.Fatal(err)
	}
	// Sign verifies what it signed.
	if _, err := provenance.Sign(t.Context(), signer, []byte(`{"_type":"https://in-toto.io/Statement/v1"}`)); err != nil {
		t.Error(err)
	}
}
