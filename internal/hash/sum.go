package hash

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
)

// Version of the hash's definition. What is hashed, and how it is written
// down, never changes within a version: the golden vectors hold that.
const Version = 1

// domain keeps this hash apart from any other use of SHA-256.
const domain = "imagecache.dev/configuration-hash"

// Sum returns the hash of a platform and inputs in any order: 64 lowercase
// hexadecimal characters. An input that is there twice is an error.
func Sum(platform string, inputs []Input) (string, error) {
	platform, err := normalizePlatform(platform)
	if err != nil {
		return "", err
	}
	return sumSorted(platform, slices.SortedFunc(slices.Values(inputs), compareInputs))
}

// sumSorted takes a normal platform and sorted inputs.
func sumSorted(platform string, inputs []Input) (string, error) {
	w := &fieldWriter{hash: sha256.New()}
	w.field(domain)
	w.field(strconv.Itoa(Version))
	w.field(platform)
	w.number(uint64(len(inputs)))
	for i := range inputs {
		input := &inputs[i]
		if i > 0 && compareInputs(inputs[i-1], *input) == 0 {
			return "", fmt.Errorf("input %s is there twice", input)
		}
		sum, err := input.sum()
		if err != nil {
			return "", err
		}
		w.field(input.Name)
		w.field(input.keyPath())
		w.field(string(input.Mode))
		w.field(string(sum))
	}
	return hex.EncodeToString(w.sum()), nil
}

// fieldWriter writes each field behind its length, so that no two lists of
// fields are the same bytes.
type fieldWriter struct {
	hash    hash.Hash
	pending []byte
}

func (w *fieldWriter) number(n uint64) {
	w.pending = binary.BigEndian.AppendUint64(w.pending, n)
}

func (w *fieldWriter) field(value string) {
	w.number(uint64(len(value)))
	w.pending = append(w.pending, value...)
	if len(w.pending) > 32<<10 {
		w.flush()
	}
}

// flush writes into a hash, which never fails: https://pkg.go.dev/hash#Hash
func (w *fieldWriter) flush() {
	_, _ = w.hash.Write(w.pending)
	w.pending = w.pending[:0]
}

func (w *fieldWriter) sum() []byte {
	w.flush()
	return w.hash.Sum(nil)
}
