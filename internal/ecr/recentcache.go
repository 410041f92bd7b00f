package ecr

import (
	"maps"
	"slices"
	"sync"
	"time"

	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/publication"
)

// recentLag is how long before a read an image may have been put that the read does not show yet.
const recentLag = time.Minute

// recentCache holds the recent images of the repositories that callers asked about last, as far as its budget goes: a
// hundred images with five inputs each take about 100 KB. It holds no repositories that nobody asked about.
type recentCache struct {
	mu           sync.Mutex
	repositories *lru.Cache[string, *recentImages]
}

// recentImages is what the cache knows of one repository.
type recentImages struct {
	readAt   time.Time // zero means never
	failedAt time.Time // zero if the last read did not fail
	err      error
	images   map[string]publication.Stored // by digest; replaced, never changed
}

func newRecentCache(budget *lru.Budget) *recentCache {
	return &recentCache{repositories: lru.In[string, *recentImages](budget)}
}

// get returns the known images of a repository, or the error of a read that failed recently. fresh means that no new
// read is due. Callers must not change the map.
func (c *recentCache) get(
	repository string, now time.Time,
) (images map[string]publication.Stored, fresh bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Get(repository)
	switch {
	case !asked:
		return nil, false, nil
	case !known.failedAt.IsZero() && now.Sub(known.failedAt) < recentRetry:
		return nil, true, known.err
	case !known.readAt.IsZero() && now.Sub(known.readAt) < recentAge:
		return known.images, true, nil
	}
	return known.images, false, nil
}

// begin creates the entry of a repository that is about to be read, so that concurrent puts are not lost. It returns
// the known images.
func (c *recentCache) begin(repository string) map[string]publication.Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Get(repository)
	if !asked {
		known = &recentImages{}
		c.repositories.Set(repository, known, repositoryBytes)
	}
	return known.images
}

// set stores the result of a read, and adds the images that were put around its start and that it does not show.
func (c *recentCache) set(
	repository string, began time.Time, images map[string]publication.Stored,
) map[string]publication.Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Get(repository)
	if !asked {
		return images // evicted meanwhile, with what was put since the read began
	}
	for digest, image := range known.images {
		if _, read := images[digest]; !read && image.PushedAt.After(began.Add(-recentLag)) {
			images[digest] = image
		}
	}
	known.readAt, known.failedAt, known.err = began, time.Time{}, nil
	c.replace(repository, known, images)
	return images
}

// fail records a failed read, also of a repository that was evicted meanwhile: each miss would repeat the read
// otherwise.
func (c *recentCache) fail(repository string, now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Get(repository)
	if !asked {
		known = &recentImages{}
		c.repositories.Set(repository, known, repositoryBytes)
	}
	known.failedAt, known.err = now, err
}

// put adds an image that was just published, if a caller has asked about its repository.
func (c *recentCache) put(repository string, image publication.Stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Peek(repository)
	if !asked {
		return
	}
	images := maps.Clone(known.images)
	if images == nil {
		images = map[string]publication.Stored{}
	}
	images[image.Digest] = image
	if len(images) > maxRecent {
		oldest := slices.MaxFunc(slices.Collect(maps.Values(images)), compareAge)
		delete(images, oldest.Digest)
	}
	c.replace(repository, known, images)
}

// forget removes images that were deleted.
func (c *recentCache) forget(repository string, digests []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, asked := c.repositories.Peek(repository)
	if !asked {
		return
	}
	images := maps.Clone(known.images)
	for _, digest := range digests {
		delete(images, digest)
	}
	c.replace(repository, known, images)
}

// replace changes a repository's images. The caller holds the lock.
func (c *recentCache) replace(repository string, known *recentImages, images map[string]publication.Stored) {
	known.images = images
	bytes := repositoryBytes
	for _, image := range images {
		bytes += sizeOfStored(image)
	}
	c.repositories.Set(repository, known, bytes)
}

// repositoryBytes is the size of a repository without images.
const repositoryBytes = 256

func sizeOfStored(image publication.Stored) int {
	const overhead = 512 // size of an image without inputs
	size := overhead
	for _, input := range image.Origin.Inputs {
		size += len(input.Name) + len(input.Digest) + 32
	}
	return size
}
