package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/devcontainer"
)

// batch is how many entries of a folder one goroutine takes at a time.
const batch = 256

// bufferSize is above most files' size, so that one read gets all.
const bufferSize = 128 << 10

// Digest reads the contents of entries, which are sorted by path, and sets
// their sizes, sums, and the executable bit. It reads side by side, with
// memory that doesn't depend on the files' sizes. A file that changes
// meanwhile is devcontainer.ErrChanged.
func Digest(ctx context.Context, root *os.Root, entries []Entry, limits Limits) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	var total atomic.Int64
	for start := 0; start < len(entries); {
		folder, end := path.Dir(entries[start].Path), start+1
		for end < len(entries) && end-start < batch && path.Dir(entries[end].Path) == folder {
			end++
		}
		part := entries[start:end]
		start = end
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return digestFolder(ctx, root, folder, part, limits, &total) })
	}
	return group.Wait()
}

func digestFolder(ctx context.Context, root *os.Root, name string, entries []Entry, limits Limits, total *atomic.Int64) error {
	folder := root
	if name != "." {
		var err error
		if folder, err = root.OpenRoot(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer func() { _ = folder.Close() }()
	}
	d := digester{hash: sha256.New(), buffer: make([]byte, bufferSize)}
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := d.entry(folder, &entries[i]); err != nil {
			return fmt.Errorf("%s: %w", entries[i].Path, err)
		}
		if err := limits.checkBytes(total.Add(entries[i].SizeBytes)); err != nil {
			return err
		}
	}
	return nil
}

type digester struct {
	hash   hash.Hash
	buffer []byte
}

func (d *digester) entry(folder *os.Root, entry *Entry) error {
	name := path.Base(entry.Path)
	d.hash.Reset()
	switch entry.Kind {
	case Symlink:
		target, err := folder.Readlink(name)
		if err != nil {
			return err
		}
		entry.SizeBytes = int64(len(target))
		_, _ = io.WriteString(d.hash, target)
	case Folder:
	default:
		if err := d.file(folder, name, entry); err != nil {
			return err
		}
	}
	d.hash.Sum(entry.Sum[:0])
	return nil
}

// file opens without blocking: what was a file when the folder was read may be
// a fifo by now.
func (d *digester) file(folder *os.Root, name string, entry *Entry) error {
	file, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) {
		return devcontainer.ErrChanged // a link now
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return devcontainer.ErrChanged
	}
	if entry.SizeBytes, err = d.read(file, before.Size()); err != nil {
		return err
	}
	after, err := file.Stat()
	if err != nil {
		return err
	}
	if devcontainer.Changed(before, after) || entry.SizeBytes != after.Size() {
		return devcontainer.ErrChanged
	}
	if before.Mode()&0o100 != 0 {
		entry.Kind = Executable
	}
	return nil
}

// read hashes a file of a size that is already known: a read that comes back
// short at that size was the last one.
func (d *digester) read(file io.Reader, size int64) (int64, error) {
	var total int64
	for {
		n, err := file.Read(d.buffer)
		_, _ = d.hash.Write(d.buffer[:n])
		total += int64(n)
		if errors.Is(err, io.EOF) || err == nil && total == size && n < len(d.buffer) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
