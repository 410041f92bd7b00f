package ecr

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"

	"imagecache.dev/internal/publication"
)

// recentBytes bounds what is known of recent images: a hundred images with five inputs each take about 100 KB.
const recentBytes = 16 << 20

// recentLag is how long before a reading an image may have been put that the reading did not show yet.
const recentLag = time.Minute

// recentCache knows the recent images of the repositories that were last asked about, up to a number of bytes.
// Repositories that nobody asks about are not in it.
type recentCache struct {
	limit int

	mu    sync.Mutex
	bytes int
	items map[string]*list.Element // by repository
	order *list.List               // of *recentImages, last used first
}

// recentImages is what is known of one repository.
type recentImages struct {
	repository string
	readAt     time.Time // zero: never
	failedAt   time.Time // zero: the last reading did not fail
	err        error
	images     map[string]publication.Stored // by digest; replaced, never changed
	bytes      int
}

func newRecentCache(limit int) *recentCache {
	return &recentCache{limit: limit, items: map[string]*list.Element{}, order: list.New()}
}

// get returns what is known of a repository, and whether that is all that can be known now. The map is not to be
// changed.
func (c *recentCache) get(repository string, now time.Time) (images map[string]publication.Stored, fresh bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.find(repository)
	switch {
	case known == nil:
		return nil, false, nil
	case !known.failedAt.IsZero() && now.Sub(known.failedAt) < recentRetry:
		return nil, true, known.err
	case !known.readAt.IsZero() && now.Sub(known.readAt) < recentAge:
		return known.images, true, nil
	}
	return known.images, false, nil
}

// begin makes room for a repository that is about to be read, so that what is put meanwhile is not lost, and returns
// what is known of it.
func (c *recentCache) begin(repository string) map[string]publication.Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.find(repository)
	if known == nil {
		known = &recentImages{repository: repository}
		c.items[repository] = c.order.PushFront(known)
	}
	return known.images
}

// set keeps a reading that began at a time, with those images that were put around then and that it does not show.
func (c *recentCache) set(repository string, began time.Time, images map[string]publication.Stored) map[string]publication.Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.find(repository)
	if known == nil {
		return images // pushed out meanwhile
	}
	for digest, image := range known.images {
		if _, read := images[digest]; !read && image.PushedAt.After(began.Add(-recentLag)) {
			images[digest] = image
		}
	}
	known.readAt, known.failedAt, known.err = began, time.Time{}, nil
	c.replace(known, images)
	return images
}

// fail keeps that a reading failed.
func (c *recentCache) fail(repository string, now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.find(repository); known != nil {
		known.failedAt, known.err = now, err
	}
}

// put adds an image that was just published, if anybody asked about its repository.
func (c *recentCache) put(repository string, image publication.Stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[repository]
	if !ok {
		return
	}
	known := element.Value.(*recentImages)
	images := maps.Clone(known.images)
	if images == nil {
		images = map[string]publication.Stored{}
	}
	images[image.Digest] = image
	if len(images) > maxRecent {
		oldest := slices.MaxFunc(slices.Collect(maps.Values(images)), compareAge)
		delete(images, oldest.Digest)
	}
	c.replace(known, images)
}

// forget takes out images that were deleted.
func (c *recentCache) forget(repository string, digests []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[repository]
	if !ok {
		return
	}
	known := element.Value.(*recentImages)
	images := maps.Clone(known.images)
	for _, digest := range digests {
		delete(images, digest)
	}
	c.replace(known, images)
}

// find returns what is known of a repository, and marks it as used. The lock is held.
func (c *recentCache) find(repository string) *recentImages {
	element, ok := c.items[repository]
	if !ok {
		return nil
	}
	c.order.MoveToFront(element)
	return element.Value.(*recentImages)
}

// replace changes a repository's images, and drops the repositories that were used longest ago if it is too much. The
// lock is held.
func (c *recentCache) replace(known *recentImages, images map[string]publication.Stored) {
	c.bytes -= known.bytes
	known.images, known.bytes = images, 0
	for _, image := range images {
		known.bytes += sizeOfStored(image)
	}
	c.bytes += known.bytes
	for c.bytes > c.limit && c.order.Len() > 1 {
		last := c.order.Back().Value.(*recentImages)
		c.order.Remove(c.order.Back())
		delete(c.items, last.repository)
		c.bytes -= last.bytes
	}
}

func sizeOfStored(image publication.Stored) int {
	const overhead = 512 // of an image without inputs
	size := overhead
	for _, input := range image.Origin.Inputs {
		size += len(input.Name) + len(input.Digest) + 32
	}
	return size
}
