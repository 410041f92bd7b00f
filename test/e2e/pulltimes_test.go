package e2e

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// managerARN is the manager's role, as the runner's status names it.
func managerARN(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "runnerimagecaches", "-o", "jsonpath={.items[0].status.controllerARN}")
}

// excludeManager makes ECR not record what the manager reads, as docs/operating.md asks.
func excludeManager(t *testing.T) {
	t.Helper()
	arn := managerARN(t)
	_, err := ecr.NewFromConfig(cluster.AWSConfig()).RegisterPullTimeUpdateExclusion(t.Context(), &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
	var exists *types.ExclusionAlreadyExistsException
	if err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
}

// includeManager undoes excludeManager.
func includeManager(t *testing.T) {
	t.Helper()
	arn := managerARN(t)
	_, err := ecr.NewFromConfig(cluster.AWSConfig()).DeregisterPullTimeUpdateExclusion(t.Context(), &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
	var absent *types.ExclusionNotFoundException
	if err != nil && !errors.As(err, &absent) {
		t.Fatal(err)
	}
}
