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
	sorted := slices.SortedFunc(slices.Values(inputs), compareInputs)
	w := fieldWriter{sha256.New()}
	w.field(domain)
	w.field(strconv.Itoa(Version))
	w.field(platform)
	w.number(uint64(len(sorted)))
	for i, input := range sorted {
		if i > 0 && compareInputs(sorted[i-1], input) == 0 {
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
	return hex.EncodeToString(w.Hash.Sum(nil)), nil
}

// fieldWriter writes each field behind its length, so that no two lists of
// fields are the same bytes.
type fieldWriter struct{ hash.Hash }

func (w fieldWriter) number(n uint64) {
	var encoded [8]byte
	binary.BigEndian.PutUint64(encoded[:], n)
	_, _ = w.Write(encoded[:]) // a hash's Write never fails: https://pkg.go.dev/hash#Hash
}

func (w fieldWriter) field(value string) {
	w.number(uint64(len(value)))
	_, _ = w.Write([]byte(value))
}
