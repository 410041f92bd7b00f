package inspect

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/provenance"
)

// Signature is an image and what its signature says.
type Signature struct {
	// Image is the image, repository@digest.
	Image string
	// Record is the signed statement, or nil if Problem tells why it does not count.
	Record *provenance.Record
	// KeyID is the ID of the key that signed.
	KeyID   string
	Problem error
}

// SignatureOf verifies the image of a hash in a project's repository with the keys in the status of the project's
// runner.
func SignatureOf(
	ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache, hash string,
) (*Signature, error) {
	if project.Status.Repository == nil {
		return nil, fmt.Errorf("project %s has no repository yet", project.Name)
	}
	keys, err := cluster.SigningKeys(ctx, c, project)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, errors.New(
			"the project's runner has no signing keys in its status: its controller has not read them yet, or signs nothing",
		)
	}
	repository, auth, err := pullAccess(ctx, c, project)
	if errors.Is(err, errNoPullCredentials) {
		if repository, err = name.NewRepository(project.Status.Repository.URI); err == nil {
			auth, err = dockerconfig.Keychain("").Resolve(repository)
		}
	}
	if err != nil {
		return nil, err
	}
	return signatureAt(ctx, repository.Tag(hash), auth, keys, provenance.Claims{
		RepositoryARN: project.Status.Repository.ARN, Hash: hash,
	})
}

// SignatureAt verifies an image in a registry with keys, and the user's own credentials. What the reference tells is
// compared: an ECR repository, and a tag that is a hash.
func SignatureAt(ctx context.Context, reference string, keys *provenance.Verifier) (*Signature, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("read reference: %w", err)
	}
	auth, err := dockerconfig.Keychain("").Resolve(parsed.Context())
	if err != nil {
		return nil, fmt.Errorf("read credentials for %s: %w", parsed.Context().RegistryStr(), err)
	}
	want := provenance.Claims{RepositoryARN: repositoryARN(parsed.Context())}
	if tag, isTag := parsed.(name.Tag); isTag && hashPattern.MatchString(tag.TagStr()) {
		want.Hash = tag.TagStr()
	}
	return signatureAt(ctx, parsed, auth, keys, want)
}

var (
	hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
	registryPattern = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)
)

// repositoryARN returns the ARN of a repository in ECR, and "" for one in another registry.
func repositoryARN(repository name.Repository) string {
	found := registryPattern.FindStringSubmatch(repository.RegistryStr())
	if found == nil {
		return ""
	}
	partition := "aws"
	switch {
	case found[4] != "":
		partition = "aws-cn"
	case strings.HasPrefix(found[3], "us-gov-"):
		partition = "aws-us-gov"
	}
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", partition, found[3], found[1], repository.RepositoryStr())
}

// signatureAt verifies an image. It compares what is not empty in want.
func signatureAt(
	ctx context.Context, reference name.Reference, auth authn.Authenticator, keys *provenance.Verifier,
	want provenance.Claims,
) (*Signature, error) {
	found, err := remote.Get(reference, remote.WithContext(ctx), remote.WithAuth(auth))
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	digest := found.Digest.String()
	signature := &Signature{Image: reference.Context().Digest(digest).Name()}
	verified, problem := keys.Read(found.Manifest, digest)
	if signature.Problem = problem; problem != nil {
		return signature, nil //nolint:nilerr // the result tells it
	}
	all := verified.Brief.Claims
	if want.RepositoryARN != "" {
		all.RepositoryARN = want.RepositoryARN
	}
	if want.Hash != "" {
		all.Hash = want.Hash
	}
	if verified, signature.Problem = keys.Verify(found.Manifest, digest, all); signature.Problem == nil {
		signature.KeyID = verified.KeyID
		signature.Record, signature.Problem = verified.Record(found.Manifest)
	}
	return signature, nil
}
