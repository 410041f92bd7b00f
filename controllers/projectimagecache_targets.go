package controllers

import (
	"sync"

	"k8s.io/utils/clock"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// repositoryPrefix begins the names of all repositories of all runners.
const repositoryPrefix = "gitpod-runner-"

// awsTarget is what the reconcilers share of one account, region and role.
type awsTarget struct {
	repositories *ecr.Repositories
	images       *ecr.Images
	inventory    *ecr.Inventory
}

// awsTargets keeps one awsTarget for each target, so that what one project's pass reads is there for the next.
type awsTargets struct {
	provider *aws.Provider
	clock    clock.PassiveClock

	mu    sync.Mutex
	known map[aws.Target]*awsTarget
}

func newAWSTargets(provider *aws.Provider, clock clock.PassiveClock) *awsTargets {
	return &awsTargets{provider: provider, clock: clock, known: map[aws.Target]*awsTarget{}}
}

func (t *awsTargets) of(target aws.Target) *awsTarget {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.known[target]
	if !ok {
		clients := t.provider.Clients(target)
		found = &awsTarget{
			repositories: ecr.NewRepositories(clients),
			images:       ecr.NewImages(clients, t.clock),
			inventory:    ecr.NewInventory(clients, repositoryPrefix, tagOwner, t.clock),
		}
		t.known[target] = found
	}
	return found
}
