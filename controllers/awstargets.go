package controllers

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// repositoryPrefix begins the names of all repositories of all runners.
const repositoryPrefix = "gitpod-runner-"

// awsTarget is what the reconcilers share of one account, region and role.
type awsTarget struct {
	address      aws.Target
	clients      *aws.Clients
	repositories *ecr.Repositories
	images       *ecr.Images
	inventory    *ecr.Inventory
}

// awsTargets keeps one awsTarget for each address, so that what one project's pass reads is there for the next. It is the
// door to AWS of every reconciler but the runner's own, whose findings it goes by.
type awsTargets struct {
	provider *aws.Provider
	clock    clock.PassiveClock
	// allowedRoles are, by namespace, the values that a runner's spec.assumeRoleARN may have there.
	allowedRoles map[string][]string

	mu    sync.Mutex
	known map[aws.Target]*awsTarget
}

func newAWSTargets(provider *aws.Provider, clock clock.PassiveClock, allowedRoles map[string][]string) *awsTargets {
	return &awsTargets{provider: provider, clock: clock, allowedRoles: allowedRoles, known: map[aws.Target]*awsTarget{}}
}

// of is where a runner's calls go. Its error says why nothing may be asked of AWS for the runner now: what holds by the
// runner's spec and status, or that the account which this program reaches is not the one that the status tells of.
func (t *awsTargets) of(ctx context.Context, runner *v1alpha1.RunnerImageCache) (*awsTarget, error) {
	if refused := targetRefusal(runner, allowedRoles(t.allowedRoles, runner.Namespace)); refused != nil {
		return nil, refused
	}
	target := t.at(targetOf(runner))
	identity, err := target.clients.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if identity.AccountID != runner.Status.AccountID {
		return nil, waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the credentials of runner %s belong to account %s, which has not been looked at yet",
			runner.Name, identity.AccountID)
	}
	return target, nil
}

// at is what is shared for an address.
func (t *awsTargets) at(address aws.Target) *awsTarget {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.known[address]
	if !ok {
		clients := t.provider.Clients(address)
		found = &awsTarget{
			address:      address,
			clients:      clients,
			repositories: ecr.NewRepositories(clients),
			images:       ecr.NewImages(clients, t.clock),
			inventory:    ecr.NewInventory(clients, repositoryPrefix, tagOwner, t.clock),
		}
		t.known[address] = found
	}
	return found
}

// ofProject is where a project's calls go. Its error says why its repository must not be worked on now.
func (t *awsTargets) ofProject(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache) (*awsTarget, error) {
	target, err := t.of(ctx, runner)
	if err != nil {
		return nil, err
	}
	if refused := projectRefusal(project, runner); refused != nil {
		return nil, refused
	}
	return target, nil
}

// targetOf is the address of a runner's AWS calls, whether or not it may be used.
func targetOf(runner *v1alpha1.RunnerImageCache) aws.Target {
	return aws.Target{Region: runner.Spec.Region, AssumeRoleARN: runner.Spec.AssumeRoleARN, ExternalID: runner.Spec.ExternalID}
}

// targetRefusal says why nothing may be asked of AWS for a runner: nil if it may.
func targetRefusal(runner *v1alpha1.RunnerImageCache, allowedRoles []string) error {
	stalled := meta.FindStatusCondition(runner.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case runner.Spec.Provider != v1alpha1.ProviderAWSEC2:
		return terminalf(v1alpha1.ReasonUnsupportedProvider, "runner %s is of provider %s, which can't cache images; only %s runners can",
			runner.Name, runner.Spec.Provider, v1alpha1.ProviderAWSEC2)
	case !mayAssume(runner, allowedRoles):
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: the manager's settings don't allow namespace %s to use %s",
			runner.Name, runner.Namespace, runner.Spec.AssumeRoleARN)
	case !observed(runner):
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the latest change of runner %s has not been looked at yet", runner.Name)
	case stalled != nil && stalled.Status == metav1.ConditionTrue && stopsAll(stalled.Reason):
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: %s", runner.Name, stalled.Message)
	}
	return nil
}

// observed says whether a runner was looked at as it is now. One that was not may be of another account than it says.
func observed(runner *v1alpha1.RunnerImageCache) bool {
	return runner.Status.ObservedGeneration == runner.Generation
}

// stopsAll knows what is wrong with a runner that makes its repositories untouchable, beyond keeping new ones from
// being made.
func stopsAll(reason string) bool {
	switch reason {
	case v1alpha1.ReasonAccountMismatch, v1alpha1.ReasonRunnerIDInUse, v1alpha1.ReasonUnsupportedProvider, v1alpha1.ReasonAssumeRoleNotAllowed:
		return true
	}
	return false
}
