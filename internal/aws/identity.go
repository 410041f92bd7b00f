package aws

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Identity is who the credentials of a target are.
type Identity struct {
	AccountID string
	// ARN is the caller's own, of a session with the session's name in it.
	ARN string
	// PrincipalARN is what policies see as aws:PrincipalArn: of a session its role, else the caller's own.
	PrincipalARN string
	// Partition is aws, aws-cn or aws-us-gov.
	Partition string
}

// identity is who a target's credentials are, once that is known. Whoever has the turn asks.
type identity struct {
	turn  chan struct{}
	known atomic.Pointer[Identity]
}

// Identity asks AWS who the target's credentials are. A success is kept for good: roles and accounts of a target don't
// change while the program runs. However many ask at once, AWS is asked by one of them at a time.
func (c *Clients) Identity(ctx context.Context) (Identity, error) {
	if known := c.identity.known.Load(); known != nil {
		return *known, nil
	}
	select {
	case c.identity.turn <- struct{}{}:
		defer func() { <-c.identity.turn }()
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("wait for the caller's identity: %w", ctx.Err())
	}
	if known := c.identity.known.Load(); known != nil {
		return *known, nil
	}
	out, err := c.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Identity{}, fmt.Errorf("get the caller's identity: %w", err)
	}
	found, err := identityOf(awssdk.ToString(out.Account), awssdk.ToString(out.Arn), c.roleARN)
	if err != nil {
		return Identity{}, err
	}
	c.identity.known.Store(&found)
	return found, nil
}

// identityOf reads a caller's ARN. That of a session names the role without its path; configuredRole, the role that the
// settings ask for, has the path, and is believed if account and name are the session's.
func identityOf(account, callerARN, configuredRole string) (Identity, error) {
	parsed, err := arn.Parse(callerARN)
	if err != nil {
		return Identity{}, fmt.Errorf("read the caller's ARN %q: %w", callerARN, err)
	}
	found := Identity{AccountID: account, ARN: callerARN, PrincipalARN: callerARN, Partition: parsed.Partition}
	session, ok := strings.CutPrefix(parsed.Resource, "assumed-role/")
	if !ok {
		return found, nil
	}
	name, _, _ := strings.Cut(session, "/")
	found.PrincipalARN = fmt.Sprintf("arn:%s:iam::%s:role/%s", parsed.Partition, parsed.AccountID, name)
	if role, err := arn.Parse(configuredRole); err == nil &&
		role.AccountID == parsed.AccountID && strings.HasSuffix(role.Resource, "/"+name) {
		found.PrincipalARN = configuredRole
	}
	return found, nil
}
