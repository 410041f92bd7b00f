// Package blob keeps the bytes of layers: small ones in memory, large ones in files of a folder of its own.
package blob

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// inMemory is the size up to which a blob stays out of the file system.
const inMemory = 256 << 10

// Store keeps each content once, however many repositories have it. It is safe for concurrent use.
type Store struct {
	mu    sync.Mutex
	dir   string // made when first needed
	blobs map[string]*Blob
}

// Blob is one content.
type Blob struct {
	Digest string
	Size   int64

	data []byte
	path string
	refs int // guarded by the store's lock
}

// NewStore makes an empty store.
func NewStore() *Store { return &Store{blobs: map[string]*Blob{}} }

// Close removes what is in files.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func (s *Store) folder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "aws-emulator-")
		if err != nil {
			return "", fmt.Errorf("make folder for layers: %w", err)
		}
		s.dir = dir
	}
	return s.dir, nil
}

// Release drops one reference; the content goes with the last one.
func (s *Store) Release(b *Blob) {
	s.mu.Lock()
	b.refs--
	gone := b.refs == 0
	if gone {
		delete(s.blobs, b.Digest)
	}
	s.mu.Unlock()
	if gone && b.path != "" {
		_ = os.Remove(b.path) // Close removes the folder in any case
	}
}

// Retain adds a reference.
func (s *Store) Retain(b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.refs++
}

// Open reads the content. On Linux an open file outlives its removal, so a reader never sees half a blob.
func (b *Blob) Open() (io.ReadSeekCloser, error) {
	if b.path == "" {
		return memoryReader{bytes.NewReader(b.data)}, nil
	}
	return os.Open(b.path)
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// Upload is a blob being written. It is not safe for concurrent use.
type Upload struct {
	store *Store
	hash  hash.Hash
	size  int64
	data  []byte
	file  *os.File
	done  bool
}

// NewUpload starts a blob.
func (s *Store) NewUpload() *Upload { return &Upload{store: s, hash: sha256.New()} }

// ErrDone is for a write after the end.
var ErrDone = errors.New("the upload is finished")

// Size is the number of bytes so far.
func (u *Upload) Size() int64 { return u.size }

func (u *Upload) Write(p []byte) (int, error) {
	if u.done {
		return 0, ErrDone
	}
	if u.file == nil && len(u.data)+len(p) > inMemory {
		dir, err := u.store.folder()
		if err != nil {
			return 0, err
		}
		f, err := os.CreateTemp(dir, "layer-")
		if err != nil {
			return 0, fmt.Errorf("make file for layer: %w", err)
		}
		if _, err := f.Write(u.data); err != nil {
			_ = f.Close()
			return 0, fmt.Errorf("write layer: %w", err)
		}
		u.file, u.data = f, nil
	}
	if u.file == nil {
		u.data = append(u.data, p...)
	} else if _, err := u.file.Write(p); err != nil {
		return 0, fmt.Errorf("write layer: %w", err)
	}
	u.hash.Write(p)
	u.size += int64(len(p))
	return len(p), nil
}

// Digest is that of the bytes so far.
func (u *Upload) Digest() string { return "sha256:" + hex.EncodeToString(u.hash.Sum(nil)) }

// Finish makes a blob of what was written and gives the caller a reference to it.
func (u *Upload) Finish() (*Blob, error) {
	if u.done {
		return nil, ErrDone
	}
	u.done = true
	b := &Blob{Digest: u.Digest(), Size: u.size, data: bytes.Clone(u.data), refs: 1}
	if u.file != nil {
		b.path = u.file.Name()
		if err := u.file.Close(); err != nil {
			return nil, fmt.Errorf("close layer: %w", err)
		}
	}
	u.data = nil
	u.store.mu.Lock()
	old := u.store.blobs[b.Digest]
	if old == nil {
		u.store.blobs[b.Digest] = b
	} else {
		old.refs++
	}
	u.store.mu.Unlock()
	if old == nil {
		return b, nil
	}
	if b.path != "" {
		_ = os.Remove(b.path)
	}
	return old, nil
}

// Cancel drops what was written.
func (u *Upload) Cancel() {
	if u.done {
		return
	}
	u.done, u.data = true, nil
	if u.file != nil {
		_ = u.file.Close()
		_ = os.Remove(u.file.Name())
	}
}
