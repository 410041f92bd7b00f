// Package awstarget is the door to AWS: it gives the clients for a runner's account, region and role, or the reason why
// nothing may be asked of AWS for that runner now.
package awstarget

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// repositoryPrefix begins the names of all repositories of all runners.
const repositoryPrefix = "gitpod-runner-"

// Target is what the reconcilers share of one account, region and role. Its clients are safe for concurrent use.
type Target struct {
	Address      aws.Target
	clients      *aws.Clients
	Repositories *ecr.Repositories
	Images       *ecr.Images
	Inventory    *ecr.Inventory
}

// Targets keeps one Target for each address, so that one project's pass can use what an earlier one read. Every reconciler
// reaches AWS through it, except that of runners, on whose findings it rests. It is safe for concurrent use.
type Targets struct {
	provider *aws.Provider
	clock    clock.PassiveClock
	// allowedRoles are, by namespace, the values that a runner's spec.assumeRoleARN may have there.
	allowedRoles map[string][]string

	mu    sync.Mutex
	known map[aws.Target]*Target
}

// New returns a door to AWS. allowedRoles are, by namespace, the roles that runners may name.
func New(provider *aws.Provider, clock clock.PassiveClock, allowedRoles map[string][]string) *Targets {
	return &Targets{provider: provider, clock: clock, allowedRoles: allowedRoles, known: map[aws.Target]*Target{}}
}

// Of returns the target of a runner's calls. Its error tells why nothing may be asked of AWS for the runner now: the
// runner's spec or status forbids it, or the account that the controller reaches is not that of the status.
func (t *Targets) Of(ctx context.Context, runner *v1alpha1.RunnerImageCache) (*Target, error) {
	if refused := targetRefusal(runner, AllowedRoles(t.allowedRoles, runner.Namespace)); refused != nil {
		return nil, refused
	}
	target := t.at(AddressOf(runner))
	identity, err := target.clients.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if identity.AccountID != runner.Status.AccountID {
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the credentials of runner %s belong to account %s, which has not been looked at yet",
			runner.Name, identity.AccountID)
	}
	return target, nil
}

// at is what is shared for an address.
func (t *Targets) at(address aws.Target) *Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.known[address]
	if !ok {
		clients := t.provider.Clients(address)
		found = &Target{
			Address:      address,
			clients:      clients,
			Repositories: ecr.NewRepositories(clients),
			Images:       ecr.NewImages(clients, t.clock),
			Inventory:    ecr.NewInventory(clients, repositoryPrefix, awstag.Owner, t.clock),
		}
		t.known[address] = found
	}
	return found
}

// OfProject returns the target of a project's calls. Its error tells why its repository must not be changed now.
func (t *Targets) OfProject(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache) (*Target, error) {
	target, err := t.Of(ctx, runner)
	if err != nil {
		return nil, err
	}
	if refused := ProjectRefusal(project, runner); refused != nil {
		return nil, refused
	}
	return target, nil
}

// AddressOf returns the address of a runner's AWS calls, whether or not it may be used.
func AddressOf(runner *v1alpha1.RunnerImageCache) aws.Target {
	return aws.Target{Region: runner.Spec.Region, AssumeRoleARN: runner.Spec.AssumeRoleARN, ExternalID: runner.Spec.ExternalID}
}

// targetRefusal says why nothing may be asked of AWS for a runner: nil if it may.
func targetRefusal(runner *v1alpha1.RunnerImageCache, allowedRoles []string) error {
	stalled := meta.FindStatusCondition(runner.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case runner.Spec.Provider != v1alpha1.ProviderAWSEC2:
		return outcome.Terminalf(v1alpha1.ReasonUnsupportedProvider, "runner %s is of provider %s, which can't cache images; only %s runners can",
			runner.Name, runner.Spec.Provider, v1alpha1.ProviderAWSEC2)
	case !MayAssume(runner, allowedRoles):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: the manager's settings don't allow namespace %s to use %s",
			runner.Name, runner.Namespace, runner.Spec.AssumeRoleARN)
	case !Observed(runner):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the latest change of runner %s has not been looked at yet", runner.Name)
	case stalled != nil && stalled.Status == metav1.ConditionTrue && stopsAll(stalled.Reason):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: %s", runner.Name, stalled.Message)
	}
	return nil
}

// Observed reports whether the status belongs to the runner's current spec. An older one may tell of another account.
func Observed(runner *v1alpha1.RunnerImageCache) bool {
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
