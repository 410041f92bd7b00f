// Package signingkeys keeps the keys that sign and verify images: in a Secret of the manager's own namespace, or in AWS
// KMS.
package signingkeys

import (
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/provenance"
)

// Set is the keys at one time. It never changes.
type Set struct {
	// Signer signs new images; its key is also one of the Verifier's.
	Signer provenance.Signer
	// Verifier knows all keys whose signatures count.
	Verifier *provenance.Verifier
}

// NewSet returns a set with a signer and other keys that verify.
func NewSet(signer provenance.Signer, others ...provenance.Key) *Set {
	return &Set{Signer: signer, Verifier: provenance.NewVerifier(append([]provenance.Key{signer.Key()}, others...)...)}
}

// Published returns the public keys for the status of runners, the one that signs first. It returns none for nil.
func (s *Set) Published() []v1alpha1.SigningKey {
	if s == nil {
		return nil
	}
	var keys []v1alpha1.SigningKey
	for n, key := range s.Verifier.Keys() {
		use := v1alpha1.KeyVerifies
		if n == 0 {
			use = v1alpha1.KeySigns
		}
		keys = append(keys, v1alpha1.SigningKey{ID: key.ID, Use: use, PublicKey: key.PEM()})
	}
	return keys
}

// Keys holds the current Set. It is safe for concurrent use.
type Keys struct {
	mu      sync.RWMutex
	current *Set
	problem error
	changed chan event.GenericEvent
}

// New returns Keys that were not read yet, or that hold a set.
func New(set *Set) *Keys { return &Keys{current: set, changed: make(chan event.GenericEvent, 1)} }

// notReadRetry is how soon a lookup asks again for keys that were not read yet, and latestRetry how soon a status does,
// although a change of the keys wakes it.
const (
	notReadRetry = 100 * time.Millisecond
	latestRetry  = time.Second
)

// Current returns the keys that were read last, even if a later read failed. Until the first read it returns an error
// to wait for.
func (k *Keys) Current() (*Set, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.current != nil:
		return k.current, nil
	case k.problem != nil:
		_, message := outcome.Reason(k.problem)
		return nil, outcome.Waitingf(v1alpha1.ReasonSigningKeysNotReady, time.Second, "%s", message)
	}
	return nil, outcome.Waitingf(v1alpha1.ReasonProgressing, notReadRetry, "the controller has not read its signing keys yet")
}

// Latest returns the keys that were read last, or nil, and why the last read failed, or nil.
func (k *Keys) Latest() (*Set, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.current == nil && k.problem == nil {
		return nil, outcome.Waitingf(v1alpha1.ReasonProgressing, latestRetry, "the controller has not read its signing keys yet")
	}
	return k.current, k.problem
}

// Changed returns a channel that has a value after keys changed or a read failed. It has one receiver.
func (k *Keys) Changed() chan event.GenericEvent { return k.changed }

// set stores the result of a read, and reports whether that changed anything. A nil set keeps the earlier one.
func (k *Keys) set(set *Set, problem error) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if set != nil && k.current != nil && slices.Equal(set.Published(), k.current.Published()) {
		set = nil // the same keys: what the verifier remembers stays
	}
	changed = set != nil || messageOf(problem) != messageOf(k.problem)
	if set != nil {
		k.current = set
	}
	k.problem = problem
	if !changed {
		return false
	}
	select {
	case k.changed <- event.GenericEvent{Object: &v1alpha1.RunnerImageCache{}}:
	default: // one that nobody received yet
	}
	return true
}

func messageOf(err error) string {
	if err == nil {
		return ""
	}
	_, message := outcome.Reason(err)
	return message
}
