package aws

import (
	"errors"
	"testing"

	"github.com/aws/smithy-go"
)

func TestMissingCredentialsAreSaidInTheUsersWords(t *testing.T) {
	asked := &smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata", Err: errors.New("access disabled")}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no credentials": {
			&smithy.OperationError{ServiceID: "ECR", OperationName: "DescribeImages", Err: errors.Join(errors.New("no EC2 IMDS role found"), asked)},
			"ecr DescribeImages: no AWS credentials were found; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the pod or the instance a role",
		},
		"something else": {
			&smithy.OperationError{ServiceID: "ECR", OperationName: "DescribeImages", Err: errors.New("no answer")},
			"ecr DescribeImages: no answer",
		},
	} {
		if got := Message(test.err); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
