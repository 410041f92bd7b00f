// Package sts creates registry passwords that are limited to one project and expire.
package sts

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sessionpolicy"
)

// Limits of AWS: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const (
	maxPolicy       = 2048
	minSession      = 15 * time.Minute
	maxSession      = time.Hour // of role chaining, which always applies to the controller
	maxSessionName  = 64
	minSessionName  = 2
	nameReplacement = '-'
)

// ErrPolicyTooLong reports that the session policy has more characters than AWS accepts.
var ErrPolicyTooLong = fmt.Errorf("the session policy has more than %d characters", maxPolicy)

// ErrPackedTooLarge reports that session policy and tags together are too large in AWS' packed form. That happens if
// sessions inherit many tags, as those of EKS Pod Identity do (disableSessionTags ends that).
var ErrPackedTooLarge = errors.New("session policy and session tags together are larger than AWS accepts; " +
	"if the controller's own session inherits tags, as with EKS Pod Identity, switch that off (disableSessionTags)")

// Request is what a password is requested for.
type Request struct {
	RoleARN     string
	SessionName string // any text; characters that AWS does not accept are replaced
	Project     string // value of the session tag
	Policy      string // session policy
	Duration    time.Duration
}

// Password lets its bearer log in to a registry, with the rights of the session that created it.
type Password struct {
	Registry  string // host
	Username  string
	Password  string
	ExpiresAt time.Time // the earlier end of session and token
}

// Granter creates passwords.
type Granter struct{ provider *aws.Provider }

// NewGranter returns a Granter that reaches AWS through the provider.
func NewGranter(provider *aws.Provider) *Granter { return &Granter{provider: provider} }

// Grant assumes the role with the project's tag and the session policy, and gets a registry password of the target's
// region in that session. The session's own keys never leave this function.
func (g *Granter) Grant(ctx context.Context, target aws.Target, request Request) (*Password, error) {
	if len(request.Policy) > maxPolicy {
		return nil, ErrPolicyTooLong
	}
	clients := g.provider.Clients(target)
	session, err := assume(ctx, clients, request)
	if err != nil {
		return nil, err
	}
	login := clients.ECRAs(credentials.NewStaticCredentialsProvider(
		awssdk.ToString(
			session.AccessKeyId,
		),
		awssdk.ToString(session.SecretAccessKey), awssdk.ToString(session.SessionToken),
	))
	out, err := login.GetAuthorizationToken(ctx, &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, fmt.Errorf("get a registry password: %w", err)
	}
	if len(out.AuthorizationData) == 0 {
		return nil, errors.New("get a registry password: AWS returned none")
	}
	data := out.AuthorizationData[0]
	password, err := decode(awssdk.ToString(data.AuthorizationToken))
	if err != nil {
		return nil, err
	}
	password.Registry = host(awssdk.ToString(data.ProxyEndpoint))
	password.ExpiresAt = earlier(awssdk.ToTime(session.Expiration), awssdk.ToTime(data.ExpiresAt))
	return password, nil
}

// Check assumes the role as Grant does, without any rights, to check whether it can be assumed.
func (g *Granter) Check(ctx context.Context, target aws.Target, roleARN string) error {
	_, err := assume(ctx, g.provider.Clients(target), Request{
		RoleARN: roleARN, SessionName: "check", Project: "-", Policy: sessionpolicy.Nothing(), Duration: minSession,
	})
	return err
}

func assume(ctx context.Context, clients *aws.Clients, request Request) (*types.Credentials, error) {
	out, err := clients.STS.AssumeRole(ctx, &awssts.AssumeRoleInput{
		RoleArn:         &request.RoleARN,
		RoleSessionName: awssdk.String(sessionName(request.SessionName)),
		DurationSeconds: awssdk.Int32(int32(min(max(request.Duration, minSession), maxSession) / time.Second)),
		Policy:          &request.Policy,
		Tags:            []types.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: &request.Project}},
	})
	if err != nil {
		if strings.HasPrefix(aws.Code(err), "PackedPolicyTooLarge") {
			return nil, ErrPackedTooLarge
		}
		return nil, fmt.Errorf("assume the role: %w", err)
	}
	if out.Credentials == nil {
		return nil, errors.New("assume the role: AWS returned no credentials")
	}
	return out.Credentials, nil
}

// sessionName turns text into a valid session name: [\w+=,.@-]{2,64}. It shortens long text in the middle, so that
// beginning and end still identify the session.
func sessionName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_+=,.@-", r):
			return r
		}
		return nameReplacement
	}, text)
	if len(name) > maxSessionName {
		const half = (maxSessionName - 1) / 2
		name = name[:half] + string(nameReplacement) + name[len(name)-half:]
	}
	for len(name) < minSessionName {
		name += string(nameReplacement)
	}
	return name
}

// decode decodes the token of GetAuthorizationToken: base64 of user:password. Errors never contain the token.
func decode(token string) (*Password, error) {
	content, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, errors.New("get a registry password: the answer is not base64")
	}
	username, password, ok := strings.Cut(string(content), ":")
	if !ok {
		return nil, errors.New("get a registry password: the answer has no user name")
	}
	return &Password{Username: username, Password: password}, nil
}

func host(endpoint string) string {
	_, rest, ok := strings.Cut(endpoint, "://")
	if !ok {
		rest = endpoint
	}
	return strings.TrimSuffix(rest, "/")
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}
