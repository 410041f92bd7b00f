package provenance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names of the entries of a key set.
const (
	// SigningEntry holds the private key that signs, in PEM form.
	SigningEntry = "signing.key"
	// VerifySuffix ends the names of entries that hold public keys, which verify only.
	VerifySuffix = ".pub"
)

// MaxKeys is how many keys a set may have.
const MaxKeys = 16

// KeySet is a stored set of keys: one that signs, and others that verify. Whoever removes a key from it revokes the
// key.
type KeySet struct {
	// Signer is nil if the set has no private key.
	Signer *PrivateKey
	// Others are the keys that verify only, by the names of their entries.
	Others []Key
}

// NewKeySet returns the entries of a set with one new key.
func NewKeySet() (map[string][]byte, error) {
	key, err := GenerateKey()
	if err != nil {
		return nil, err
	}
	content, err := key.PEM()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{SigningEntry: content}, nil
}

// ParseKeySet reads the entries of a set. Errors name the entry that is wrong and contain nothing of it.
func ParseKeySet(entries map[string][]byte) (*KeySet, error) {
	set := &KeySet{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		switch {
		case name == SigningEntry:
			key, err := ParsePrivateKey(entries[name])
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", name, err)
			}
			set.Signer = key
		case strings.HasSuffix(name, VerifySuffix):
			key, err := ParseKey(entries[name])
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", name, err)
			}
			set.Others = append(set.Others, key)
		default:
			return nil, fmt.Errorf("entry %s: its name must be %s, or end with %s", name, SigningEntry, VerifySuffix)
		}
	}
	if len(entries) > MaxKeys {
		return nil, fmt.Errorf("it has %d keys; the limit is %d", len(entries), MaxKeys)
	}
	return set, nil
}

// Rotate returns the entries of a set in which a new key signs and all earlier keys verify.
func Rotate(entries map[string][]byte) (map[string][]byte, error) {
	set, err := ParseKeySet(entries)
	if err != nil {
		return nil, err
	}
	if len(entries) == MaxKeys {
		return nil, fmt.Errorf("it has %d keys, which is the limit; remove one first", MaxKeys)
	}
	if set.Signer == nil {
		return nil, errors.New("it has no entry " + SigningEntry)
	}
	rotated, err := NewKeySet()
	if err != nil {
		return nil, err
	}
	for name, content := range entries {
		if name != SigningEntry {
			rotated[name] = content
		}
	}
	earlier := set.Signer.Key()
	rotated[earlier.ShortID()+VerifySuffix] = []byte(earlier.PEM())
	return rotated, nil
}

// Keys returns all keys of the set that verify, the one that signs first.
func (s *KeySet) Keys() []Key {
	var keys []Key
	if s.Signer != nil {
		keys = append(keys, s.Signer.Key())
	}
	return append(keys, s.Others...)
}
