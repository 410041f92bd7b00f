package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/aws/smithy-go"
)

func operation(err error) error {
	return fmt.Errorf("do something: %w", &smithy.OperationError{ServiceID: "ECR", OperationName: "PutImage", Err: err})
}

func TestErrorsAreSortedAndSaid(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:PutImage, RequestID: 5a1c-22"}
	for name, test := range map[string]struct {
		err     error
		class   Class
		message string
	}{
		"none":   {nil, ClassNone, ""},
		"denied": {operation(denied), ClassAccessDenied, "ecr PutImage: AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:PutImage"},
		"an address": {
			operation(errors.New(`Get "https://storage/layer?X-Amz-Signature=SECRET": EOF`)), ClassOther,
			`ecr PutImage: Get "https://storage/layer?REDACTED": EOF`,
		},
		"a key": {
			operation(&smithy.GenericAPIError{Code: "KmsException", Message: "AccessDeniedException"}), ClassAccessDenied,
			"ecr PutImage: KmsException: AccessDeniedException; the controller's role and the key's policy must allow " +
				"kms:DescribeKey, kms:CreateGrant and kms:RetireGrant through ECR (statement EncryptedRepositories of " +
				"config/aws/controller-policy.json), and the key must be enabled and in the repository's region",
		},
		"throttled":    {operation(&smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}), ClassThrottled, "ecr PutImage: ThrottlingException: Rate exceeded"},
		"too many":     {operation(&smithy.GenericAPIError{Code: "TooManyRequestsException"}), ClassThrottled, "ecr PutImage: TooManyRequestsException"},
		"a quota":      {operation(&smithy.GenericAPIError{Code: "LimitExceededException", Message: "too many repositories"}), ClassOther, "ecr PutImage: LimitExceededException: too many repositories"},
		"not found":    {operation(&smithy.GenericAPIError{Code: "RepositoryNotFoundException"}), ClassNotFound, "ecr PutImage: RepositoryNotFoundException"},
		"invalid":      {operation(&smithy.GenericAPIError{Code: "InvalidParameterException", Message: "no"}), ClassInvalid, "ecr PutImage: InvalidParameterException: no"},
		"own turn":     {operation(&LaterError{Operation: "ecr PutImage", After: time.Minute}), ClassThrottled, "ecr PutImage: waiting for a turn, because AWS limits how often this operation may be called"},
		"not AWS":      {errors.New("disk full"), ClassOther, "disk full"},
		"deadline":     {operation(context.DeadlineExceeded), ClassOther, "ecr PutImage: no answer within the deadline"},
		"no such host": {operation(&net.DNSError{Name: "api.ecr", Err: "no such host"}), ClassOther, "ecr PutImage: can't resolve the name api.ecr: no such host"},
		"connection": {operation(&net.OpError{Op: "read", Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 41234}, Err: errors.New("connection reset by peer")}),
			ClassOther, "ecr PutImage: no connection: connection reset by peer"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ClassOf(test.err); got != test.class {
				t.Errorf("ClassOf = %q, want %q", got, test.class)
			}
			if got := Message(test.err); got != test.message {
				t.Errorf("Message = %q, want %q", got, test.message)
			}
		})
	}
}

func TestIdentityIsTheRoleOfASession(t *testing.T) {
	for name, test := range map[string]struct{ arn, configured, want string }{
		"a user":            {"arn:aws:iam::123456789012:user/me", "", "arn:aws:iam::123456789012:user/me"},
		"a session":         {"arn:aws:sts::123456789012:assumed-role/controller/pod-1", "", "arn:aws:iam::123456789012:role/controller"},
		"a role with path":  {"arn:aws:sts::123456789012:assumed-role/controller/pod-1", "arn:aws:iam::123456789012:role/team/controller", "arn:aws:iam::123456789012:role/team/controller"},
		"another role":      {"arn:aws:sts::123456789012:assumed-role/controller/pod-1", "arn:aws:iam::123456789012:role/team/other", "arn:aws:iam::123456789012:role/controller"},
		"another account":   {"arn:aws:sts::123456789012:assumed-role/controller/pod-1", "arn:aws:iam::999999999999:role/team/controller", "arn:aws:iam::123456789012:role/controller"},
		"another partition": {"arn:aws-cn:sts::123456789012:assumed-role/controller/pod-1", "", "arn:aws-cn:iam::123456789012:role/controller"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := identityOf("123456789012", test.arn, test.configured)
			if err != nil {
				t.Fatal(err)
			}
			if found.PrincipalARN != test.want {
				t.Errorf("PrincipalARN = %q, want %q", found.PrincipalARN, test.want)
			}
		})
	}
}
