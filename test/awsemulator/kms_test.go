package awsemulator_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

func signingKey(t *testing.T, c clients, policy *string) string {
	t.Helper()
	return *must(c.kms.CreateKey(context.Background(), &kms.CreateKeyInput{
		KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify, Policy: policy,
	})).KeyMetadata.Arn
}

func sign(c clients, key string, message []byte, kind kmstypes.MessageType) ([]byte, error) {
	out, err := c.kms.Sign(context.Background(), &kms.SignInput{
		KeyId: &key, Message: message, MessageType: kind, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return nil, err
	}
	return out.Signature, nil
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
func TestKeysSign(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	key := signingKey(t, c, nil)
	wantCode(t, second(c.kms.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/signer"), TargetKeyId: &key})), "")
	out := must(c.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String("alias/signer")}))
	parsed := must(x509.ParsePKIXPublicKey(out.PublicKey)).(*ecdsa.PublicKey)
	if *out.KeyId != key || out.KeySpec != kmstypes.KeySpecEccNistP256 || len(out.SigningAlgorithms) != 1 {
		t.Errorf("public key of %s, %s, %v", *out.KeyId, out.KeySpec, out.SigningAlgorithms)
	}
	message := []byte("statement")
	digest := sha256.Sum256(message)
	for kind, content := range map[kmstypes.MessageType][]byte{kmstypes.MessageTypeRaw: message, kmstypes.MessageTypeDigest: digest[:]} {
		signature, err := sign(c, key, content, kind)
		if err != nil || !ecdsa.VerifyASN1(parsed, digest[:], signature) {
			t.Errorf("%s: error %v, or the signature does not hold", kind, err)
		}
	}
	_, err := sign(c, key, message, kmstypes.MessageTypeDigest)
	wantCode(t, err, "ValidationException")
	_, err = sign(c, key, make([]byte, 4097), kmstypes.MessageTypeRaw)
	wantCode(t, err, "ValidationException")
	_, err = sign(c, key[:len(key)-1]+"x", message, kmstypes.MessageTypeRaw)
	wantCode(t, err, "NotFoundException")
	symmetric := *must(c.kms.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	_, err = sign(c, symmetric, message, kmstypes.MessageTypeRaw)
	wantCode(t, err, "InvalidKeyUsageException")
	wantCode(t, second(c.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &symmetric})), "UnsupportedOperationException")

	must(c.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key}))
	_, err = sign(c, key, message, kmstypes.MessageTypeRaw)
	wantCode(t, err, "DisabledException")
	must(c.kms.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
	_, err = sign(c, key, message, kmstypes.MessageTypeRaw)
	wantCode(t, err, "")
	must(c.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(7)}))
	_, err = sign(c, key, message, kmstypes.MessageTypeRaw)
	wantCode(t, err, "KMSInvalidStateException")
	s.Clock().Advance(7 * 24 * time.Hour)
	wantCode(t, second(c.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})), "NotFoundException")
}

func second[T any](_ T, err error) error { return err }

// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
func TestKeyPolicyDecidesWhetherIAMCounts(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	may := mayOnly(t, s, "kms:Sign")
	nobody := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: aws.String(role(t, s, "nobody", ""))})
	policy := func(principal string) *string {
		return aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%[1]s:root"},"Action":["kms:Put*","kms:Get*"],"Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%[1]s:%[2]s"},"Action":"kms:Sign","Resource":"*"}]}`, s.AccountID(), principal))
	}
	for name, test := range map[string]struct {
		policy        *string
		may, nobodyIs string
	}{
		"without a policy of its own":       {nil, "", "AccessDeniedException"},
		"that leaves signing to IAM":        {policy("root"), "", "AccessDeniedException"},
		"that lets another role sign":       {policy("role/nobody"), "AccessDeniedException", ""},
		"that lets the role with rights so": {policy("role/kms-Sign"), "", "AccessDeniedException"},
	} {
		t.Run(name, func(t *testing.T) {
			key := signingKey(t, c, test.policy)
			_, err := sign(may, key, []byte("m"), kmstypes.MessageTypeRaw)
			wantCode(t, err, test.may)
			_, err = sign(nobody, key, []byte("m"), kmstypes.MessageTypeRaw)
			wantCode(t, err, test.nobodyIs)
			wantCode(t, second(may.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})), "AccessDeniedException")
		})
	}
	locked := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:role/nobody"},"Action":"kms:Sign","Resource":"*"}]}`, s.AccountID())
	wantCode(t, second(c.kms.CreateKey(ctx, &kms.CreateKeyInput{Policy: &locked})), "MalformedPolicyDocumentException")
}

// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
func TestGrantsLetAndRetire(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	key := signingKey(t, c, nil)
	grantee := role(t, s, "grantee", "")
	g := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &grantee})
	_, err := sign(g, key, []byte("m"), kmstypes.MessageTypeRaw)
	wantCode(t, err, "AccessDeniedException")
	in := &kms.CreateGrantInput{
		KeyId: &key, GranteePrincipal: &grantee, Name: aws.String("once"),
		Operations: []kmstypes.GrantOperation{kmstypes.GrantOperationSign, kmstypes.GrantOperationRetireGrant},
	}
	made := must(c.kms.CreateGrant(ctx, in))
	if again := must(c.kms.CreateGrant(ctx, in)); *again.GrantId != *made.GrantId {
		t.Error("the same named grant was made twice")
	}
	_, err = sign(g, key, []byte("m"), kmstypes.MessageTypeRaw)
	wantCode(t, err, "")
	wantCode(t, second(g.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})), "AccessDeniedException")
	other := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: aws.String(role(t, s, "other", ""))})
	wantCode(t, second(other.kms.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: made.GrantToken})), "AccessDeniedException")
	wantCode(t, second(g.kms.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: made.GrantId})), "")
	_, err = sign(g, key, []byte("m"), kmstypes.MessageTypeRaw)
	wantCode(t, err, "AccessDeniedException")
	wantCode(t, second(c.kms.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: made.GrantToken})), "InvalidGrantTokenException")
	in.Operations = []kmstypes.GrantOperation{kmstypes.GrantOperationDecrypt}
	wantCode(t, second(c.kms.CreateGrant(ctx, in)), "ValidationException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
func TestRepositoryWithAKeyAsksKMSInTheCallersName(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	key := *must(c.kms.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	create := func(by clients, name, key string) error {
		_, err := by.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
			RepositoryName: &name, EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: &key},
		})
		return err
	}
	as := func(name, statement string) clients {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}` + statement + `]}`
		return assume(t, s, c, &sts.AssumeRoleInput{RoleArn: aws.String(role(t, s, name, policy))})
	}
	through := `,{"Effect":"Allow","Action":[%s],"Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"ecr.` + s.Region() + `.amazonaws.com"}}}`
	wantCode(t, create(as("none", ""), "none", key), "KmsException")
	wantCode(t, create(as("half", fmt.Sprintf(through, `"kms:DescribeKey"`)), "half", key), "KmsException")
	full := as("full", fmt.Sprintf(through, `"kms:DescribeKey","kms:CreateGrant"`))
	wantCode(t, create(full, "full", key), "")
	wantCode(t, second(full.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})), "AccessDeniedException")
	if grants := must(c.kms.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key})).Grants; len(grants) != 2 {
		t.Errorf("%d grants for ECR, want 2", len(grants))
	}
	wantCode(t, create(c, "signing", signingKey(t, c, nil)), "KmsException")
	wantCode(t, create(c, "absent", key[:len(key)-1]+"x"), "KmsException")
	_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("own"), EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms},
	})
	wantCode(t, err, "")
}
