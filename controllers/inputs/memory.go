// Package inputs remembers the inputs of requests. The manager's cache does not keep them: a hundred thousand requests
// would hold them a hundred thousand times, and requests of one project with the same hash have the same. Nobody checks
// that. A request that reports other inputs than its hash has can thus be the one whose inputs are remembered, so they
// only explain and estimate, and what a published image says about itself comes from its own request.
package inputs

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/publication"
)

const (
	// budget is how many bytes of inputs are remembered, those of about 5,000 hashes.
	budget = 4 << 20
	// readTimeout limits a read that all requests of a hash share.
	readTimeout = 10 * time.Second
)

// Memory holds the inputs of the hashes that were asked for last. It is safe for concurrent use.
type Memory struct {
	known *lru.Cache[key, []publication.Input]
	texts *lru.Texts
	reads singleflight.Group
}

// key is one hash of one project.
type key struct{ namespace, project, configHash string }

// New returns an empty memory.
func New() *Memory {
	return &Memory{known: lru.New[key, []publication.Input](budget), texts: lru.NewTexts(budget / 4)}
}

// keyOf returns under what a request's inputs are known. A request without a hash or a project has no key.
func keyOf(request *v1alpha1.DevcontainerImage) (key, bool) {
	if request.Spec.ConfigHash == "" || request.Spec.ProjectRef == nil {
		return key{}, false
	}
	return key{request.Namespace, request.Spec.ProjectRef.Name, request.Spec.ConfigHash}, true
}

// Take removes the inputs from a request that goes into the manager's cache, and remembers them. The request shows that it
// had some by a list that is empty and not nil.
func (m *Memory) Take(request *v1alpha1.DevcontainerImage) {
	if len(request.Spec.Inputs) == 0 {
		return
	}
	if k, ok := keyOf(request); ok {
		if _, known := m.known.Get(k); !known {
			m.keep(k, request.Spec.Inputs)
		}
	}
	request.Spec.Inputs = []v1alpha1.KeyInput{}
}

// Of returns the inputs of a request, which is read-only. If they are forgotten, it reads them past the cache. Requests of
// one project with the same hash share that read, and it continues when they leave. A read that failed is not remembered.
func (m *Memory) Of(ctx context.Context, live client.Reader, request *v1alpha1.DevcontainerImage) ([]publication.Input, error) {
	if len(request.Spec.Inputs) > 0 {
		return Convert(request.Spec.Inputs), nil
	}
	k, shared := keyOf(request)
	if known, ok := m.known.Get(k); ok || !shared || request.Spec.Inputs == nil {
		return known, nil
	}
	name := client.ObjectKeyFromObject(request)
	reading := m.reads.DoChan(k.namespace+"/"+k.project+"/"+k.configHash, func() (any, error) {
		return m.read(context.WithoutCancel(ctx), live, k, name)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("read inputs: %w", ctx.Err())
	case read := <-reading:
		if read.Err != nil {
			return nil, read.Err
		}
		return read.Val.([]publication.Input), nil
	}
}

// read reads the inputs of one request, and keeps them for all of its hash.
func (m *Memory) read(ctx context.Context, live client.Reader, k key, name types.NamespacedName) ([]publication.Input, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if known, ok := m.known.Get(k); ok { // another read has just ended
		return known, nil
	}
	whole := &v1alpha1.DevcontainerImage{}
	if err := live.Get(ctx, name, whole); err != nil {
		return nil, fmt.Errorf("read inputs: %w", err)
	}
	return m.keep(k, whole.Spec.Inputs), nil
}

// keep remembers inputs. The same names and digests are part of many hashes, and are stored once.
func (m *Memory) keep(k key, reported []v1alpha1.KeyInput) []publication.Input {
	const entry, element = 256, 32 // of a key, and of an input without its text
	kept, bytes := Convert(reported), entry
	for n, input := range kept {
		kept[n] = publication.Input{Name: lru.Shared(m.texts, input.Name), Digest: lru.Shared(m.texts, input.Digest)}
		bytes += element + len(input.Name) + len(input.Digest)
	}
	m.known.Set(k, kept, bytes)
	return kept
}

// Convert returns the reported inputs as those of an image.
func Convert(reported []v1alpha1.KeyInput) []publication.Input {
	converted := make([]publication.Input, 0, len(reported))
	for _, input := range reported {
		converted = append(converted, publication.Input{Name: input.Name, Digest: input.Digest})
	}
	return converted
}
