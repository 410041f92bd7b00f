package aws

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

const allowEverything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// A service control policy denies as any other policy of a principal does.
func TestReplicationPolicyStopsEverybodyButTheRegistrysAdministrator(t *testing.T) {
	server, err := awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() }) // the test is over
	policy, err := os.ReadFile(filepath.Join("..", "..", "config", "aws", "deny-replication.json"))
	if err != nil {
		t.Fatal(err)
	}
	root := awssdk.Config{
		Region: server.Region(), BaseEndpoint: awssdk.String(server.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKeyID(), server.SecretAccessKey(), ""),
	}
	for role, denied := range map[string]bool{"administrator": true, "registry-administrator": false} {
		t.Run(role, func(t *testing.T) {
			roles := awsiam.NewFromConfig(root)
			made, err := roles.CreateRole(t.Context(), &awsiam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: awssdk.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + server.AccountID() + `"},"Action":"sts:AssumeRole"}]}`)})
			if err != nil {
				t.Fatal(err)
			}
			for name, document := range map[string]string{"all": allowEverything, "replication": string(policy)} {
				if _, err := roles.PutRolePolicy(t.Context(), &awsiam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}); err != nil {
					t.Fatal(err)
				}
			}
			session, err := awssts.NewFromConfig(root).AssumeRole(t.Context(), &awssts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: awssdk.String("test")})
			if err != nil {
				t.Fatal(err)
			}
			acting := root.Copy()
			acting.Credentials = credentials.NewStaticCredentialsProvider(*session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
			api := awsecr.NewFromConfig(acting)
			_, rules := api.PutReplicationConfiguration(t.Context(), &awsecr.PutReplicationConfigurationInput{
				ReplicationConfiguration: &ecrtypes.ReplicationConfiguration{Rules: []ecrtypes.ReplicationRule{}},
			})
			_, registry := api.PutRegistryPolicy(t.Context(), &awsecr.PutRegistryPolicyInput{PolicyText: awssdk.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + server.AccountID() + `:root"},"Action":"ecr:ReplicateImage","Resource":"*"}]}`)})
			_, backfill := api.StartReplicationBackfill(t.Context(), &awsecr.StartReplicationBackfillInput{
				Destination: &ecrtypes.ReplicationDestination{Region: awssdk.String("eu-west-1"), RegistryId: awssdk.String(server.AccountID())},
			})
			for action, err := range map[string]error{"PutReplicationConfiguration": rules, "PutRegistryPolicy": registry, "StartReplicationBackfill": backfill} {
				if got := err != nil && strings.Contains(err.Error(), "explicit deny"); got != denied {
					t.Errorf("ecr:%s: denied is %t, want %t (%v)", action, got, denied, err)
				}
			}
			if _, err := api.DescribeRegistry(t.Context(), &awsecr.DescribeRegistryInput{}); err != nil {
				t.Errorf("the policy denies more than it should: %v", err)
			}
		})
	}
}
