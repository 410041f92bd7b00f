package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sessionpolicy"
)

const namePrefix = "imagecache-conformance"

// settles bounds how long AWS may take to act on a change, and settleLook is how often that is looked at.
const (
	settles    = 2 * time.Minute
	settleLook = time.Second
)

// expiresWithin bounds how long ECR may take to expire an image, and expiryLook is how often that is looked at.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
const (
	expiresWithin = 25 * time.Hour
	expiryLook    = 10 * time.Minute
)

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`

// world is what the checks have to work with: two projects' repositories, with the policies that this project gives
// them, and roles.
type world struct {
	*settings
	clients  *aws.Clients
	identity aws.Identity
	runner   string
	// pull and push are roles as this project makes them; wide may do anything with ECR.
	pull, push, wide role
	own, other       repository
	// roleTook is how long the first role took to be assumable.
	roleTook time.Duration
}

type role struct{ name, arn string }

type repository struct{ project, name, uri, arn string }

func newWorld(ctx context.Context, s *settings, chosen []check) (*world, error) {
	provider, err := aws.NewProvider(ctx, aws.Options{UserAgent: namePrefix})
	if err != nil {
		return nil, err
	}
	clients := provider.Clients(aws.Target{})
	if err := s.checkLifetime(ctx, clients, chosen); err != nil {
		return nil, err
	}
	identity, err := clients.Identity(ctx)
	if err != nil {
		return nil, err
	}
	identity.PrincipalARN = withPath(ctx, clients, identity.PrincipalARN)
	unique := make([]byte, 5)
	_, _ = rand.Read(unique) // never fails
	w := &world{settings: s, clients: clients, identity: identity, runner: namePrefix + "-" + hex.EncodeToString(unique)}
	for purpose, r := range map[string]*role{"pull": &w.pull, "push": &w.push, "wide": &w.wide} {
		r.name = w.runner + "-" + purpose
		r.arn = sessionpolicy.RoleARN(identity.Partition, identity.AccountID, r.name)
	}
	for project, r := range map[string]*repository{"own": &w.own, "other": &w.other} {
		r.project, r.name = project, sessionpolicy.RepositoryName(w.runner, project)
		r.arn = sessionpolicy.RepositoryARN(identity.Partition, clients.Region, identity.AccountID, r.name)
	}
	return w, nil
}

// withPath is a role's ARN as policies see it: the caller's ARN lacks the path that a role may have.
func withPath(ctx context.Context, clients *aws.Clients, arn string) string {
	_, name, found := strings.Cut(arn, ":role/")
	if !found || strings.Contains(name, "/") {
		return arn
	}
	out, err := clients.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return arn
	}
	return awssdk.ToString(out.Role.Arn)
}

// make makes roles and repositories, and waits until the roles can be assumed.
func (w *world) make(ctx context.Context) error {
	partition, region, account := w.identity.Partition, w.clients.Region, w.identity.AccountID
	began := w.now()
	for _, r := range []struct {
		role   role
		policy string
	}{
		{w.pull, sessionpolicy.PullRole(partition, region, account, w.runner)},
		{w.push, sessionpolicy.PushRole(partition, region, account, w.runner)},
		{w.wide, everything},
	} {
		if err := w.makeRole(ctx, r.role, r.policy); err != nil {
			return err
		}
	}
	for _, r := range []*repository{&w.own, &w.other} {
		if err := w.makeRepository(ctx, r); err != nil {
			return err
		}
	}
	for _, r := range []role{w.pull, w.push, w.wide} {
		if err := w.until(ctx, func() error { _, err := w.assume(ctx, r, "own", ""); return err }); err != nil {
			return fmt.Errorf("assume the new role %s (a root user can't): %w", r.name, err)
		}
		if w.roleTook == 0 {
			w.roleTook = w.now().Sub(began)
		}
	}
	return nil
}

func (w *world) makeRole(ctx context.Context, r role, policy string) error {
	trust := sessionpolicy.Trust(w.identity.PrincipalARN, w.identity.AccountID, w.identity.Partition)
	if _, err := w.clients.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &r.name, AssumeRolePolicyDocument: &trust}); err != nil {
		return fmt.Errorf("make role %s: %w", r.name, err)
	}
	_, err := w.clients.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &r.name, PolicyName: awssdk.String(namePrefix), PolicyDocument: &policy})
	if err != nil {
		return fmt.Errorf("set the policy of role %s: %w", r.name, err)
	}
	return nil
}

func (w *world) makeRepository(ctx context.Context, r *repository) error {
	out, err := w.clients.ECR.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &r.name, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable,
		Tags: []ecrtypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: &r.project}},
	})
	if err != nil {
		return fmt.Errorf("make repository %s: %w", r.name, err)
	}
	r.uri = awssdk.ToString(out.Repository.RepositoryUri)
	return nil
}

// protect gives a repository the policy that this project gives it, for sessions of the given role.
func (w *world) protect(ctx context.Context, r repository, pullRole role) error {
	policy := w.policyOf(r, pullRole)
	if _, err := w.clients.ECR.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &r.name, PolicyText: &policy}); err != nil {
		return fmt.Errorf("set the policy of repository %s: %w", r.name, err)
	}
	return nil
}

// policyOf is the policy that this project gives a repository, with Amazon Inspector among its readers.
func (w *world) policyOf(r repository, pullRole role) string {
	return sessionpolicy.Repository(sessionpolicy.RepositoryAccess{
		Partition: w.identity.Partition, AccountID: w.identity.AccountID, ControllerARN: w.identity.PrincipalARN,
		ProjectID: r.project, PullRoleARN: pullRole.arn,
		Readers: []string{sessionpolicy.InspectorRoleARN(w.identity.Partition, w.identity.AccountID)},
	})
}

// open takes a repository's policy away.
func (w *world) open(ctx context.Context, r repository) error {
	_, err := w.clients.ECR.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &r.name})
	var none *ecrtypes.RepositoryPolicyNotFoundException
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("remove the policy of repository %s: %w", r.name, err)
	}
	return nil
}

// assume makes a session of a role for a project, for 15 minutes; an empty policy is none.
func (w *world) assume(ctx context.Context, r role, project, policy string) (*sts.AssumeRoleOutput, error) {
	in := &sts.AssumeRoleInput{
		RoleArn: &r.arn, RoleSessionName: awssdk.String(namePrefix), DurationSeconds: awssdk.Int32(900),
		Tags: []ststypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: &project}},
	}
	if policy != "" {
		in.Policy = &policy
	}
	return w.clients.STS.AssumeRole(ctx, in)
}

// login gets a registry password in a session of a role.
func (w *world) login(ctx context.Context, r role, project, policy string) (login, error) {
	session, err := w.assume(ctx, r, project, policy)
	if err != nil {
		return login{}, fmt.Errorf("assume role %s: %w", r.name, err)
	}
	keys := session.Credentials
	api := w.clients.ECRAs(credentials.NewStaticCredentialsProvider(*keys.AccessKeyId, *keys.SecretAccessKey, *keys.SessionToken))
	out, err := api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return login{}, fmt.Errorf("get a registry password as %s: %w", r.name, err)
	}
	data := out.AuthorizationData[0]
	return newLogin(awssdk.ToString(data.AuthorizationToken), awssdk.ToTime(data.ExpiresAt))
}

// until tries again until something succeeds, because AWS acts on changes after a while.
func (w *world) until(ctx context.Context, try func() error) error {
	for deadline := w.now().Add(settles); ; {
		err := try()
		if err == nil || w.now().After(deadline) {
			return err
		}
		if err := w.wait(ctx, settleLook); err != nil {
			return err
		}
	}
}

// remove removes what was made, and says what could not be.
func (w *world) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settles)
	defer cancel()
	var failures []error
	for _, r := range []repository{w.own, w.other} {
		_, err := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &r.name, Force: true})
		if err != nil && aws.ClassOf(err) != aws.ClassNotFound {
			failures = append(failures, fmt.Errorf("remove repository %s: %w", r.name, err))
		}
	}
	for _, r := range []role{w.pull, w.push, w.wide} {
		_, err := w.clients.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &r.name, PolicyName: awssdk.String(namePrefix)})
		if err == nil || aws.ClassOf(err) == aws.ClassNotFound {
			_, err = w.clients.IAM.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &r.name})
		}
		if err != nil && aws.ClassOf(err) != aws.ClassNotFound {
			failures = append(failures, fmt.Errorf("remove role %s: %w", r.name, err))
		}
	}
	return errors.Join(failures...)
}
