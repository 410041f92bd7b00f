package envtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/internal/sessionpolicy"
)

// shield is one protection of a repository's images against whoever holds credentials.
type shield string

const (
	// sessionShield is the session policy of a grant: one repository, the least actions, until the deadline.
	sessionShield shield = "session policy"
	// roleShield is the inline policy of the role: the repository that the session's tag names, the least actions.
	roleShield shield = "role policy"
	// repositoryShield is the repository's policy, which only denies.
	repositoryShield shield = "repository policy"
	// immutableShield is that tags of the repository can't be moved.
	immutableShield shield = "tag immutability"
	// passwordShield is that a registry password is handed out, and not the keys of its session.
	passwordShield shield = "no keys handed out"
	// deadlineShield is the condition on the time in the session policy.
	deadlineShield shield = "deadline in the session policy"
)

// stops is how AWS answers whom a shield stops.
var stops = map[shield]string{
	sessionShield:    "no session policy allows",
	roleShield:       "no identity-based policy allows",
	repositoryShield: "explicit deny in a resource-based policy",
	immutableShield:  "the tag is immutable",
	passwordShield:   "security token included in the request is invalid",
	deadlineShield:   "no session policy allows",
}

// lab makes repositories and credentials that have some shields and lack the others.
type lab struct {
	*cloud
	t *testing.T
	// controller is the ARN of the role that repository policies leave publishing to.
	controller string
	count      int
}

// attacker is what an attack has to work with: credentials for one repository, and another project's beside it.
type attacker struct {
	lab *lab
	// own is the repository that the credentials are for, other one of another project. Both hold an image under hash.
	own, other, hash string
	auth             authn.AuthConfig
	// api calls AWS with whatever keys were handed out; where it was only a password, with that.
	api *ecr.Client
}

// wide are policies without a limit.
const wide = allowAll

const labRunner = "lab"

// stage sets an attack up: credentials of a purpose with the given shields and no other, for a repository of its own.
func (l *lab) stage(purpose sessionpolicy.Purpose, up ...shield) *attacker {
	l.t.Helper()
	has := map[shield]bool{}
	for _, s := range up {
		has[s] = true
	}
	l.count++
	project, otherProject := fmt.Sprintf("own%d", l.count), fmt.Sprintf("other%d", l.count)
	roleName, rolePolicy := fmt.Sprintf("lab-%s-%d", purpose, l.count), wide
	if has[roleShield] {
		rolePolicy = sessionpolicy.PushRole("aws", l.Region(), l.AccountID(), labRunner)
		if purpose == sessionpolicy.PurposePull {
			rolePolicy = sessionpolicy.PullRole("aws", l.Region(), l.AccountID(), labRunner)
		}
	}
	role := l.makeRole(l.t, roleName, rolePolicy)
	pullRole := role
	if purpose == sessionpolicy.PurposePush {
		pullRole = sessionpolicy.RoleARN("aws", l.AccountID(), "somebody-pulls")
	}
	a := &attacker{lab: l, hash: hashOf("lab")}
	a.own = l.repository(project, pullRole, has)
	a.other = l.repository(otherProject, pullRole, has)

	policy := wide
	deadline := l.Clock().Now().Add(15 * time.Minute)
	arn := sessionpolicy.RepositoryARN("aws", l.Region(), l.AccountID(), a.own)
	switch {
	case has[sessionShield] && purpose == sessionpolicy.PurposePull:
		policy = sessionpolicy.Pull(arn, deadline)
	case has[sessionShield]:
		policy = sessionpolicy.Push(arn, deadline)
	case has[deadlineShield]:
		policy = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":%q}}}]}`,
			deadline.UTC().Format(time.RFC3339))
	}
	keys := l.session(role, project, policy)
	a.auth = l.password(keys)
	a.api = ecr.NewFromConfig(l.as(keys))
	if has[passwordShield] {
		a.api = l.apiWithPassword(a.auth)
	}
	return a
}

// repository makes a repository with an image in it.
func (l *lab) repository(project, pullRole string, has map[shield]bool) string {
	l.t.Helper()
	name := sessionpolicy.RepositoryName(labRunner, project)
	mutability := ecrtypes.ImageTagMutabilityMutable
	if has[immutableShield] {
		mutability = ecrtypes.ImageTagMutabilityImmutable
	}
	_, err := l.ecr.CreateRepository(l.t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: &name, ImageTagMutability: mutability,
		Tags: []ecrtypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: &project}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	image, err := random.Image(512, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	reference := l.reference(name).Tag(hashOf("lab"))
	if err := remote.Write(reference, image, remote.WithAuth(authn.FromConfig(l.rootPassword()))); err != nil {
		l.t.Fatal(err)
	}
	if !has[repositoryShield] {
		return name
	}
	_, err = l.ecr.SetRepositoryPolicy(l.t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: awssdk.String(sessionpolicy.Repository(
		sessionpolicy.RepositoryAccess{Partition: "aws", AccountID: l.AccountID(), ControllerARN: l.controller, ProjectID: project, PullRoleARN: pullRole},
	))})
	if err != nil {
		l.t.Fatal(err)
	}
	return name
}

func (l *lab) reference(repository string) name.Repository {
	l.t.Helper()
	made, err := name.NewRepository(l.RegistryHost()+"/"+repository, name.Insecure)
	if err != nil {
		l.t.Fatal(err)
	}
	return made
}

// session assumes a role as the root user, who may in these tests.
func (l *lab) session(role, project, policy string) *ststypes.Credentials {
	l.t.Helper()
	out, err := l.sts.AssumeRole(l.t.Context(), &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: awssdk.String("attack"), Policy: &policy, DurationSeconds: awssdk.Int32(900),
		Tags: []ststypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: &project}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.Credentials
}

// as is the account as a session sees it.
func (l *lab) as(keys *ststypes.Credentials) awssdk.Config {
	config := l.config.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(*keys.AccessKeyId, *keys.SecretAccessKey, *keys.SessionToken)
	return config
}

// apiWithPassword tries to make keys out of a registry password, the only thing that is handed out.
func (l *lab) apiWithPassword(auth authn.AuthConfig) *ecr.Client {
	config := l.config.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(auth.Username, auth.Password, "")
	return ecr.NewFromConfig(config)
}

func (l *lab) password(keys *ststypes.Credentials) authn.AuthConfig {
	l.t.Helper()
	return l.login(ecr.NewFromConfig(l.as(keys)))
}

func (l *lab) rootPassword() authn.AuthConfig { return l.login(l.ecr) }

func (l *lab) login(api *ecr.Client) authn.AuthConfig {
	l.t.Helper()
	out, err := api.GetAuthorizationToken(l.t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		l.t.Fatal(err)
	}
	decoded, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		l.t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(decoded), ":")
	return authn.AuthConfig{Username: user, Password: password}
}

// putManifest puts an image of the attacker's own, made of layers that are there, under a hash.
func (a *attacker) putManifest(ctx context.Context, repository, hash string) error {
	image, err := a.evil(ctx, repository)
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return err
	}
	return a.registry(ctx, http.MethodPut, "/v2/"+repository+"/manifests/"+hash, string(mediaType), manifest)
}

// evil is another image of the same blobs, as whoever uploaded those can make it.
func (a *attacker) evil(ctx context.Context, repository string) (v1.Image, error) {
	out, err := a.lab.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &repository})
	if err != nil || len(out.ImageDetails) == 0 {
		return nil, fmt.Errorf("no image to build on: %w", err)
	}
	// The blobs' names are no secret: an attacker who can't read them here knows those that he uploaded himself.
	manifest, err := a.lab.manifestOf(ctx, repository, *out.ImageDetails[0].ImageDigest)
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(manifest, map[string]string{"evil": time.Now().String()}).(v1.Image), nil
}

// manifestOf reads an image as the controller, which every repository policy lets read.
func (l *lab) manifestOf(ctx context.Context, repository, digest string) (v1.Image, error) {
	auth := l.password(l.session(l.controller, "-", wide))
	return remote.Image(l.reference(repository).Digest(digest), remote.WithContext(ctx), remote.WithAuth(authn.FromConfig(auth)))
}

// pull reads whatever image a repository has.
func (a *attacker) pull(ctx context.Context, repository string) error {
	return a.registry(ctx, http.MethodGet, "/v2/"+repository+"/manifests/"+a.hash, "", nil)
}

// upload uploads a layer that nobody has seen before.
func (a *attacker) upload(ctx context.Context, repository string) error {
	// A request of its own first, because the answer to a registry client's HEAD does not say why it was refused.
	if err := a.registry(ctx, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil); err != nil {
		return err
	}
	layer, err := random.Layer(256, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		return err
	}
	return remote.WriteLayer(a.lab.reference(repository), layer, remote.WithContext(ctx), remote.WithAuth(authn.FromConfig(a.auth)))
}

// registry makes one request of the distribution protocol with the attacker's password.
func (a *attacker) registry(ctx context.Context, method, path, mediaType string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, a.lab.URL()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.SetBasicAuth(a.auth.Username, a.auth.Password)
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Errors []struct{ Code, Message string } `json:"errors"`
	}
	if json.Unmarshal(content, &answer) != nil || len(answer.Errors) == 0 {
		return errors.New(response.Status)
	}
	return errors.New(answer.Errors[0].Code + ": " + answer.Errors[0].Message)
}

// delete removes the image under the hash, so that another can be pushed.
func (a *attacker) delete(ctx context.Context) error {
	out, err := a.api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &a.own, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &a.hash}}})
	if err == nil && len(out.Failures) > 0 {
		return fmt.Errorf("%s", out.Failures[0].FailureCode)
	}
	return err
}

// mint asks for another password.
func (a *attacker) mint(ctx context.Context) error {
	_, err := a.api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	return err
}

// reasonFor is why AWS refused, in its own words; a registry client's error is unwrapped to them.
func reasonFor(err error) string {
	var answered *transport.Error
	if errors.As(err, &answered) && len(answered.Errors) > 0 {
		return answered.Errors[0].Message
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return err.Error()
}
