// Package awstarget returns the AWS clients for a runner's account, region and role, or the reason why AWS must not
// be called for that runner now.
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
	"imagecache.dev/internal/lru"
)

// repositoryPrefix begins the names of all repositories of all runners.
const repositoryPrefix = "gitpod-runner-"

// cacheBytes limits the memory for what all targets remember of AWS together: inventories, facts about images, recent
// images. Inventories may take more. An inventory of ten thousand repositories takes about 15 MB, and the facts about a thousand images 10 MB.
const cacheBytes = 64 << 20

// Target is what the reconcilers share for one account, region and role.
type Target struct {
	Address      aws.Target
	clients      *aws.Clients
	Repositories *ecr.Repositories
	Images       *ecr.Images
	Inventory    *ecr.Inventory
}

// Targets keeps one Target for each address, so that later passes reuse what one project's pass read. Every
// reconciler calls AWS through it, except the runner's own reconciler, whose findings it relies on.
type Targets struct {
	provider *aws.Provider
	clock    clock.PassiveClock
	// allowedRoles are, by namespace, the values that a runner's spec.assumeRoleARN may have there.
	allowedRoles map[string][]string

	budget *lru.Budget

	mu    sync.Mutex
	known map[aws.Target]*Target
}

// New returns Targets without any Target yet. allowedRoles are, by namespace, the roles that runners may name.
func New(provider *aws.Provider, clock clock.PassiveClock, allowedRoles map[string][]string) *Targets {
	return &Targets{
		provider: provider, clock: clock, allowedRoles: allowedRoles, budget: lru.NewBudget(cacheBytes), known: map[aws.Target]*Target{},
	}
}

// Of returns the Target for a runner's calls. Its error tells why AWS must not be called for the runner now: because
// of the runner's spec or status, or because this program reaches another account than the status names.
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
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the credentials of runner %s belong to account %s, which the controller has not checked yet",
			runner.Name, identity.AccountID)
	}
	return target, nil
}

// at returns what is shared for an address.
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
			Images:       ecr.NewImages(clients, t.clock, t.budget),
			Inventory:    ecr.NewInventory(clients, repositoryPrefix, awstag.Owner, t.clock, t.budget),
		}
		t.known[address] = found
	}
	return found
}

// Keep lets go of all Targets but those that are named, and of the provider's clients. It does both under one lock: a
// Target that is made meanwhile never has clients that the provider has let go, whose rate limits nobody else would
// share. A pass that has a Target may go on using it.
func (t *Targets) Keep(named map[aws.Target]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for address, target := range t.known {
		if !named[address] {
			target.Images.Close()
			target.Inventory.Close()
			delete(t.known, address)
		}
	}
	t.provider.Keep(named)
}

// OfProject returns the Target for a project's calls. Its error tells why the project's repository must not be
// changed now.
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

// targetRefusal returns why AWS must not be called for a runner, or nil if it may be.
func targetRefusal(runner *v1alpha1.RunnerImageCache, allowedRoles []string) error {
	stalled := meta.FindStatusCondition(runner.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case runner.Spec.Provider != v1alpha1.ProviderAWSEC2:
		return outcome.Terminalf(v1alpha1.ReasonUnsupportedProvider, "runner %s has provider %s, which can't use the cache; only %s runners can",
			runner.Name, runner.Spec.Provider, v1alpha1.ProviderAWSEC2)
	case !MayAssume(runner, allowedRoles):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: the manager's settings don't allow namespace %s to use role %s",
			runner.Name, runner.Namespace, runner.Spec.AssumeRoleARN)
	case !Observed(runner):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the controller has not processed the latest change of runner %s yet", runner.Name)
	case stalled != nil && stalled.Status == metav1.ConditionTrue && stopsAll(stalled.Reason):
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: %s", runner.Name, stalled.Message)
	}
	return nil
}

// Observed reports whether the controller has processed the runner's latest spec. A runner that it has not processed
// may be in another account than its status names.
func Observed(runner *v1alpha1.RunnerImageCache) bool {
	return runner.Status.ObservedGeneration == runner.Generation
}

// stopsAll reports whether a runner's problem forbids any change to its repositories, and not only the creation of
// new ones.
func stopsAll(reason string) bool {
	switch reason {
	case v1alpha1.ReasonAccountMismatch, v1alpha1.ReasonRunnerIDInUse, v1alpha1.ReasonUnsupportedProvider, v1alpha1.ReasonAssumeRoleNotAllowed:
		return true
	}
	return false
}
