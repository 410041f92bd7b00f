package files

import (
	"errors"
	"fmt"
	"io/fs"
)

// Kind of an entry.
type Kind string

const (
	// File is a regular file.
	File Kind = "file"
	// Executable is a regular file that its owner may execute.
	Executable Kind = "executable"
	// Symlink is a symbolic link; its content is its target.
	Symlink Kind = "symlink"
	// Folder has no content of its own.
	Folder Kind = "folder"
)

// Entry is one name in a tree.
type Entry struct {
	// Path from the tree's top, with slashes.
	Path string
	Kind Kind
	// Others are the permission bits of the group and of all others that decide
	// about reading: 0044 of a file, and 0055 of an executable file or a folder.
	Others fs.FileMode
	// SizeBytes and Sum of the content.
	SizeBytes int64
	Sum       [32]byte
}

// readBits are the permission bits of Entry.Others, by kind. Of a link none count.
var readBits = map[Kind]fs.FileMode{File: 0o044, Executable: 0o055, Folder: 0o055}

// UsualRights reports whether everybody may read the entry, as after a clone
// with a umask of 022 or 002.
func (e *Entry) UsualRights() bool {
	return e.Others == readBits[e.Kind]
}

// Limits bound what is read.
type Limits struct {
	// Entries counts files, links and folders.
	Entries int
	// Bytes of all files together.
	Bytes int64
}

// DefaultLimits are meant for people's repositories: what is larger is most
// likely an ignore file that was forgotten.
var DefaultLimits = Limits{Entries: 200_000, Bytes: 20 << 30}

// Errors that callers tell apart with errors.Is.
var (
	// ErrTooMany: more entries or bytes than the limits allow.
	ErrTooMany = errors.New("build context is too large")
	// ErrMissing: a source names nothing that the build would see.
	ErrMissing = errors.New("not in the build context")
	// ErrSpecial: a device, a fifo or a socket, which has no content to hash. A
	// socket counts only where a source names it.
	ErrSpecial = errors.New("neither a file, a folder nor a symbolic link")
)

func (l Limits) checkEntries(entries int) error {
	if entries > l.Entries {
		return fmt.Errorf("%w: more than %d files, links and folders", ErrTooMany, l.Entries)
	}
	return nil
}

func (l Limits) checkBytes(bytes int64) error {
	if bytes > l.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooMany, l.Bytes)
	}
	return nil
}
