package devcontainer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Bounds of the two files that every key holds. A devcontainer.json of the
// wild has some kilobytes; what is larger is not one.
const (
	// MaxConfigurationBytes bounds a devcontainer.json and a lockfile.
	MaxConfigurationBytes = 1 << 20
	// MaxDockerfileBytes bounds a Dockerfile and an ignore file.
	MaxDockerfileBytes = 1 << 20
)

// Errors that ReadFile's callers tell apart with errors.Is.
var (
	// ErrTooLarge: a file is larger than its bound.
	ErrTooLarge = errors.New("file is too large")
	// ErrNotRegular: a device, a fifo, a socket or a folder stands where a file is wanted.
	ErrNotRegular = errors.New("not a regular file")
	// ErrChanged: a file was written to while it was read; trying again helps.
	ErrChanged = errors.New("file changed while it was read")
)

// Open opens a regular file for reading and says what it is. It never blocks:
// a fifo or a device is refused before it is opened, and one that takes the
// file's place in between is opened without waiting and refused then.
func Open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	before, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	opened, err := file.Stat()
	if err == nil && !opened.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, opened, nil
}

// ReadFile reads a regular file of at most limit bytes.
func ReadFile(root *os.Root, name string, limit int64) ([]byte, error) {
	file, before, err := Open(root, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if before.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	contents, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(contents)) > limit {
		return nil, tooLarge(name, limit)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if Changed(before, after) || int64(len(contents)) != after.Size() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrChanged}
	}
	return contents, nil
}

// Changed reports whether a file was written to, or given another mode,
// between two observations of it.
func Changed(before, after fs.FileInfo) bool {
	return before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) || before.Mode() != after.Mode()
}

func tooLarge(name string, limit int64) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: at most %d bytes are read", ErrTooLarge, limit)}
}
