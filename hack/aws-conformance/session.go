package main

import (
	"context"
	"fmt"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/internal/sessionpolicy"
)

func sessionWithoutTag(ctx context.Context, w *world) (string, error) {
	_, err := w.clients.STS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &w.pull.arn, RoleSessionName: awssdk.String(namePrefix)})
	return wants(err, "AccessDenied", "AccessDeniedException")
}

func packedSize(ctx context.Context, w *world) (string, error) {
	long := strings.Repeat("a", 110)
	arn := sessionpolicy.RepositoryARN(w.identity.Partition, w.clients.Region, w.identity.AccountID, sessionpolicy.RepositoryName(long, long))
	var seen []string
	for name, policy := range map[string]string{"pull": sessionpolicy.Pull(arn, w.now()), "push": sessionpolicy.Push(arn, w.now())} {
		out, err := w.assume(ctx, w.wide, long, policy)
		if err != nil {
			return "", err
		}
		seen = append(seen, fmt.Sprintf("%s: %d characters, %d%% of what a session token takes", name, len(policy), awssdk.ToInt32(out.SessionTokenUtilization)))
	}
	return strings.Join(seen, "; "), nil
}
