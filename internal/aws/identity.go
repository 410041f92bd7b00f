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

// Identity is the principal that a target's credentials belong to.
type Identity struct {
	AccountID string
	// ARN is the caller's ARN. The ARN of a session contains the session's name.
	ARN string
	// PrincipalARN is the value of aws:PrincipalArn in policies: the role of a session, and otherwise the caller's
	// ARN.
	PrincipalARN string
	// Partition is aws, aws-cn or aws-us-gov.
	Partition string
}

// identity holds a target's Identity when it is known. The caller that holds the turn asks AWS.
type identity struct {
	turn  chan struct{}
	known atomic.Pointer[Identity]
}

// Identity asks AWS for the principal of the target's credentials. It keeps a success for good: the role and account
// of a target don't change while the program runs. Of several concurrent callers, one at a time asks AWS.
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

// identityOf parses a caller's ARN. The ARN of a session names the role without its path. configuredRole, the role in
// the settings, has the path. It is used if its account and name are those of the session.
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
