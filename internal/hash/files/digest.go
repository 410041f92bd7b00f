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
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/devcontainer"
)

// batchSize is how many entries of a folder one goroutine takes at a time.
const batchSize = 128

// bufferSize is above most files' size, so that one read gets all.
const bufferSize = 128 << 10

// digests reads the contents of entries side by side, with memory that does
// not depend on the files' sizes. A file that changes meanwhile is
// devcontainer.ErrChanged.
type digests struct {
	ctx    context.Context
	root   *os.Root
	limits Limits
	group  *errgroup.Group
	queue  chan []Entry // of one folder each
	done   [][]Entry
	batch  []Entry
	total  atomic.Int64
}

// startDigests starts goroutines that end with finish.
func startDigests(ctx context.Context, root *os.Root, limits Limits) *digests {
	workers := max(2, runtime.GOMAXPROCS(0))
	d := &digests{root: root, limits: limits, queue: make(chan []Entry, 4*workers)}
	d.group, d.ctx = errgroup.WithContext(ctx)
	for range workers {
		d.group.Go(d.work)
	}
	return d
}

// add takes an entry without content. It blocks while much is waiting.
func (d *digests) add(entry Entry) error {
	if len(d.batch) > 0 && (len(d.batch) == batchSize || path.Dir(d.batch[0].Path) != path.Dir(entry.Path)) {
		if err := d.send(); err != nil {
			return err
		}
	}
	if d.batch == nil {
		d.batch = make([]Entry, 0, batchSize)
	}
	d.batch = append(d.batch, entry)
	return nil
}

func (d *digests) send() error {
	if len(d.batch) == 0 {
		return nil
	}
	select {
	case d.queue <- d.batch:
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
	d.done = append(d.done, d.batch)
	d.batch = nil
	return nil
}

// finish waits for all entries. It must be called once, also after an error.
func (d *digests) finish() ([]Entry, error) {
	sendErr := d.send()
	close(d.queue)
	if err := d.group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(d.done...), sendErr
}

func (d *digests) work() error {
	worker := digester{hash: sha256.New(), buffer: make([]byte, bufferSize)}
	for entries := range d.queue {
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		if err := d.digestFolder(&worker, entries); err != nil {
			return err
		}
	}
	return nil
}

func (d *digests) digestFolder(worker *digester, entries []Entry) error {
	folder := d.root
	if name := path.Dir(entries[0].Path); name != "." {
		var err error
		if folder, err = d.root.OpenRoot(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer func() { _ = folder.Close() }()
	}
	for i := range entries {
		if err := worker.entry(folder, &entries[i]); err != nil {
			return fmt.Errorf("%s: %w", entries[i].Path, err)
		}
		if err := d.limits.checkBytes(d.total.Add(entries[i].SizeBytes)); err != nil {
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
		info, err := folder.Lstat(name)
		if err != nil {
			return err
		}
		entry.Others = info.Mode() & readBits[Folder]
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
	entry.Others = before.Mode() & readBits[entry.Kind]
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
