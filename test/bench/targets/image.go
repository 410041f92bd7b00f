package targets

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/signedimage"
)

// config is the account as its root user.
func (b *bench) config() awssdk.Config {
	return awssdk.Config{
		Region: b.AWS.Region(), BaseEndpoint: awssdk.String(b.AWS.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(b.AWS.AccessKeyID(), b.AWS.SecretAccessKey(), ""),
	}
}

// makeRoles makes a role for each target, and returns the arguments by which the manager may use them.
func (b *bench) makeRoles(ctx context.Context) (allowed []string, err error) {
	api := iam.NewFromConfig(b.config())
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`, b.AWS.AccountID())
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	for n := range count {
		role, err := api.CreateRole(ctx, &iam.CreateRoleInput{RoleName: awssdk.String(nameOf(n)), AssumeRolePolicyDocument: &trust})
		if err == nil {
			_, err = api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role.Role.RoleName, PolicyName: awssdk.String("all"), PolicyDocument: awssdk.String(policy)})
		}
		if err != nil {
			return nil, fmt.Errorf("make role: %w", err)
		}
		b.roles = append(b.roles, *role.Role.Arn)
		allowed = append(allowed, "--allow-assume-role=*="+*role.Role.Arn)
	}
	return allowed, nil
}

// fill publishes the images of all projects, each as the role that may publish there, and returns their hashes.
func (b *bench) fill(ctx context.Context) ([][]string, error) {
	key, err := b.SigningKey(ctx)
	if err != nil {
		return nil, err
	}
	hashes := make([][]string, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n := range count {
		group.Go(func() error {
			project := &v1alpha1.ProjectImageCache{}
			if err := b.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: nameOf(n)}, project); err != nil {
				return fmt.Errorf("read project: %w", err)
			}
			password, err := b.passwordOf(ctx, b.roles[n])
			if err != nil {
				return err
			}
			for range images {
				hash, err := publish(ctx, key, project.Status.Repository, password)
				if err != nil {
					return fmt.Errorf("publish image: %w", err)
				}
				hashes[n] = append(hashes[n], hash)
			}
			return nil
		})
	}
	return hashes, group.Wait()
}

// passwordOf returns a registry password in a session of a role.
func (b *bench) passwordOf(ctx context.Context, role string) (string, error) {
	session, err := sts.NewFromConfig(b.config()).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: awssdk.String("bench")})
	if err != nil {
		return "", fmt.Errorf("assume role: %w", err)
	}
	config := b.config()
	config.Credentials = credentials.NewStaticCredentialsProvider(
		*session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
	token, err := ecr.NewFromConfig(config).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil || len(token.AuthorizationData) == 0 {
		return "", errors.Join(errors.New("get registry password"), err)
	}
	return awssdk.ToString(token.AuthorizationData[0].AuthorizationToken), nil
}

// publish puts a signed image with a large configuration into a repository, and returns its hash.
func publish(ctx context.Context, key provenance.Signer, repository *v1alpha1.RepositoryStatus, password string) (string, error) {
	noise := make([]byte, configBytes/2)
	_, _ = rand.Read(noise) // never fails
	sum := sha256.Sum256(noise)
	configHash := hex.EncodeToString(sum[:])
	base, err := random.Image(256, 1)
	if err != nil {
		return "", err
	}
	config, err := base.ConfigFile()
	if err != nil {
		return "", err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", "amd64", []string{"NOISE=" + hex.EncodeToString(noise)}
	config.Config.Labels = map[string]string{
		imagelabel.Hash: configHash, imagelabel.Version: fmt.Sprint(hash.Version), imagelabel.UID: "bench",
		imagelabel.BuildSeconds: "225", imagelabel.Environment: "e-0",
	}
	image, err := mutate.ConfigFile(base, config)
	if err != nil {
		return "", err
	}
	if image, err = sign(ctx, key, image, repository.ARN); err != nil {
		return "", err
	}
	tag, err := name.NewTag(repository.URI+":"+configHash, name.Insecure)
	if err != nil {
		return "", err
	}
	return configHash, remote.Write(tag, image, remote.WithContext(ctx), remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: password})))
}

func sign(ctx context.Context, key provenance.Signer, image v1.Image, repositoryARN string) (v1.Image, error) {
	claims, err := signedimage.Claims(image, repositoryARN)
	if err != nil {
		return nil, err
	}
	return signedimage.Sign(ctx, image, key, claims)
}
