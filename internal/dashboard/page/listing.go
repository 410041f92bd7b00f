package page

import (
	"context"
	"fmt"
	"sync"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/inspect"
)

// Bounds of the lists of images that are kept. To read one takes calls to AWS.
const (
	listedFor   = time.Minute
	maxListings = 64
)

// listings keeps the images of projects that were looked at a moment ago.
type listings struct {
	mu    sync.Mutex
	known map[listingKey]listing
	// moving are projects of which an image is being removed, by namespace and name, and until when their images are read
	// each time.
	moving map[[2]string]time.Time
}

// movingFor is how long the images of a project are read each time after an eviction.
const movingFor = 30 * time.Second

// moves tells that images of a project are being removed.
func (l *listings) moves(project *v1alpha1.ProjectImageCache, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, until := range l.moving {
		if now.After(until) {
			delete(l.moving, name)
		}
	}
	l.moving[[2]string{project.Namespace, project.Name}] = now.Add(movingFor)
}

// listingKey has the version of what a project holds: after an eviction, an edit and a count its images are read again.
type listingKey struct{ viewer, namespace, name, version string }

type listing struct {
	images []catalog.Image
	notice string
	at     time.Time
}

func newListings() *listings {
	return &listings{known: map[listingKey]listing{}, moving: map[[2]string]time.Time{}}
}

func keyFor(v *visit, project *v1alpha1.ProjectImageCache) listingKey {
	version := fmt.Sprint(project.Generation, project.Annotations[v1alpha1.AnnotationEvict])
	if counted := project.Status.Images; counted != nil && counted.ReadAt != nil {
		version += counted.ReadAt.String()
	}
	return listingKey{v.viewer.Name(), project.Namespace, project.Name, version}
}

// peek returns a project's images if they were read a moment ago.
func (l *listings) peek(key listingKey, now time.Time) (listing, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.moving[[2]string{key.namespace, key.name}]) {
		return listing{}, false
	}
	found, ok := l.known[key]
	return found, ok && now.Sub(found.at) < listedFor
}

// read returns a project's images, as `imagecache images` does.
func (l *listings) read(
	ctx context.Context, v *visit, project *v1alpha1.ProjectImageCache, clusterOnly bool,
) (listing, error) {
	key := keyFor(v, project)
	if found, ok := l.peek(key, v.now); ok {
		return found, nil
	}
	images, notice, err := inspect.Images(ctx, v.viewer.Client(), project, clusterOnly)
	if err != nil {
		return listing{}, err
	}
	made := listing{images, notice, v.now}
	l.mu.Lock()
	defer l.mu.Unlock()
	for known, kept := range l.known {
		if v.now.Sub(kept.at) >= listedFor {
			delete(l.known, known)
		}
	}
	if len(l.known) < maxListings {
		l.known[key] = made
	}
	return made, nil
}
