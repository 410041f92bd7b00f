package ecr

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/lru"
)

// maxTagPage is how many resources GetResources returns at most:
// https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
const maxTagPage = 100

// listsLag is how long after a creation or removal AWS' lists may not show it. Drift within so short a time is found
// a little later.
const listsLag = 5 * time.Second

// inventoryTimeout limits one read of an inventory with all its pages.
const inventoryTimeout = 5 * time.Minute

type describeRepositories interface {
	DescribeRepositories(
		context.Context, *awsecr.DescribeRepositoriesInput, ...func(*awsecr.Options),
	) (*awsecr.DescribeRepositoriesOutput, error)
}

type getResources interface {
	GetResources(
		context.Context, *resourcegroupstaggingapi.GetResourcesInput, ...func(*resourcegroupstaggingapi.Options),
	) (*resourcegroupstaggingapi.GetResourcesOutput, error)
}

// Inventory holds the repositories of an account and region whose names begin with a prefix, and their tags. It reads
// them by the page for all projects together. It is a hint and not a proof: AWS' list of tags lags behind, so a
// caller that finds drift reads that repository itself before it changes anything.
//
// What it holds counts towards a budget, and stays whatever else does: without one repository's entry, a caller would
// take it for removed.
type Inventory struct {
	repositories describeRepositories
	tags         getResources
	clock        clock.PassiveClock
	prefix       string
	tagKey       string

	reading chan struct{} // holds one token: the holder reads

	mu     sync.Mutex // guards what follows
	readAt time.Time  // zero: never
	known  map[string]Repository
	noted  map[string]time.Time // when Note or Forget last wrote an entry
	bytes  int                  // of known
	share  *lru.Share
}

// NewInventory returns the inventory of a target: of repositories whose names begin with prefix, with the tags of
// those that have tagKey. What it holds counts towards the budget, which several targets may share.
func NewInventory(
	clients *aws.Clients, prefix, tagKey string, clock clock.PassiveClock, budget *lru.Budget,
) *Inventory {
	i := &Inventory{
		repositories: clients.ECR, tags: clients.Tagging, clock: clock, prefix: prefix, tagKey: tagKey,
		reading: make(chan struct{}, 1), known: map[string]Repository{}, noted: map[string]time.Time{}, share: budget.Share(),
	}
	i.reading <- struct{}{}
	return i
}

// Close gives the inventory's bytes back to the budget. Whoever still has the inventory may go on using it.
func (i *Inventory) Close() { i.share.Close() }

// set sets or, with nil, removes a repository. The caller holds the lock, and calls count when it is done.
func (i *Inventory) set(name string, repository *Repository) {
	if before, ok := i.known[name]; ok {
		i.bytes -= sizeOfRepository(before)
		delete(i.known, name)
	}
	if repository != nil {
		i.known[name] = *repository
		i.bytes += sizeOfRepository(*repository)
	}
}

// count tells the budget how much the inventory holds. The caller holds the lock.
func (i *Inventory) count() {
	const notedBytes = 128
	i.share.Set(i.bytes + notedBytes*len(i.noted))
}

// sizeOfRepository estimates the bytes of a repository and its tags in memory.
func sizeOfRepository(repository Repository) int {
	const overhead, tagOverhead = 512, 64
	size := overhead + 2*len(repository.Name) + len(repository.ARN) + len(repository.URI)
	for key, value := range repository.Tags {
		size += tagOverhead + len(key) + len(value)
	}
	return size
}

// Fresh reads the inventory if the last read is older than maxAge. Concurrent callers wait for the read and share it.
func (i *Inventory) Fresh(ctx context.Context, maxAge time.Duration) error {
	if i.age() <= maxAge {
		return nil
	}
	select {
	case <-i.reading:
	case <-ctx.Done():
		return fmt.Errorf("wait for the inventory: %w", ctx.Err())
	}
	defer func() { i.reading <- struct{}{} }()
	if i.age() <= maxAge {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	return i.read(ctx)
}

// Get returns the known state of a repository, or nil if it does not exist.
func (i *Inventory) Get(name string) *Repository {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, ok := i.known[name]
	if !ok {
		return nil
	}
	return &found
}

// Note records the state of a repository that the caller just observed or wrote.
func (i *Inventory) Note(repository Repository) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.write(repository.Name, &repository)
}

// Forget records that a repository does not exist any more.
func (i *Inventory) Forget(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.write(name, nil)
}

// write writes one entry. The caller holds the lock.
func (i *Inventory) write(name string, repository *Repository) {
	i.set(name, repository)
	i.noted[name] = i.clock.Now()
	i.count()
}

func (i *Inventory) age() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.readAt.IsZero() {
		return 1<<63 - 1
	}
	return i.clock.Since(i.readAt)
}

// read replaces the inventory. It keeps entries that Note or Forget wrote after the read began, and the existence of
// repositories that they wrote shortly before.
func (i *Inventory) read(ctx context.Context) error {
	began := i.clock.Now()
	var found map[string]Repository
	var tags map[string]map[string]string
	group, groupContext := errgroup.WithContext(ctx)
	group.Go(func() (err error) { found, err = i.readRepositories(groupContext); return err })
	group.Go(func() (err error) { tags, err = i.readTags(groupContext); return err })
	if err := group.Wait(); err != nil {
		return err
	}
	for name, repository := range found {
		repository.Tags = tags[repository.ARN]
		found[name] = repository
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	before, noted := i.known, i.noted
	i.readAt, i.known, i.noted, i.bytes = began, make(map[string]Repository, len(found)), map[string]time.Time{}, 0
	for name, repository := range found {
		i.set(name, &repository)
	}
	for name, at := range noted {
		if at.Add(listsLag).Before(began) {
			continue
		}
		i.noted[name] = at
		own, is := before[name]
		_, shown := found[name]
		switch {
		case at.Before(began) && is == shown:
		case is:
			i.set(name, &own)
		default:
			i.set(name, nil)
		}
	}
	i.count()
	return nil
}

func (i *Inventory) readRepositories(ctx context.Context) (map[string]Repository, error) {
	found := map[string]Repository{}
	pages := awsecr.NewDescribeRepositoriesPaginator(i.repositories, &awsecr.DescribeRepositoriesInput{
		MaxResults: awssdk.Int32(maxPage),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the repositories: %w", err)
		}
		for _, described := range out.Repositories {
			if repository := repositoryOf(described); strings.HasPrefix(repository.Name, i.prefix) {
				found[repository.Name] = repository
			}
		}
	}
	return found, nil
}

func (i *Inventory) readTags(ctx context.Context) (map[string]map[string]string, error) {
	byARN := map[string]map[string]string{}
	pages := resourcegroupstaggingapi.NewGetResourcesPaginator(i.tags, &resourcegroupstaggingapi.GetResourcesInput{
		ResourceTypeFilters: []string{"ecr:repository"},
		ResourcesPerPage:    awssdk.Int32(maxTagPage),
		TagFilters:          []types.TagFilter{{Key: &i.tagKey}},
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the repositories' tags: %w", err)
		}
		for _, resource := range out.ResourceTagMappingList {
			tags := make(map[string]string, len(resource.Tags))
			for _, tag := range resource.Tags {
				tags[awssdk.ToString(tag.Key)] = awssdk.ToString(tag.Value)
			}
			byARN[awssdk.ToString(resource.ResourceARN)] = tags
		}
	}
	return byARN, nil
}
