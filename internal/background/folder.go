package background

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imagecache.dev/internal/statefolder"
)

// The files of a record: NAME.json, NAME.log, and NAME.lock, which its process holds.
const (
	recordSuffix = ".json"
	logSuffix    = ".log"
	lockSuffix   = ".lock"
	newSuffix    = ".new" // of a record that is being written
)

// Folder is the folder with all records of this user on this machine.
type Folder struct{ path string }

// UserFolder returns the folder among this user's state. It need not exist.
func UserFolder() (Folder, error) {
	path, err := statefolder.Path("publications")
	return Folder{path}, err
}

func (f Folder) file(name, suffix string) string { return filepath.Join(f.path, name+suffix) }

// List returns all records that can be read, the oldest first. The error is of those that can't.
func (f Folder) List() ([]Record, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list publications: %w", err)
	}
	records := []Record{}
	var unreadable []error
	for _, entry := range entries {
		name, isRecord := strings.CutSuffix(entry.Name(), recordSuffix)
		if !isRecord {
			continue
		}
		record, err := f.Read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			unreadable = append(unreadable, err)
		default:
			records = append(records, record)
		}
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Began.Compare(b.Began) })
	return records, errors.Join(unreadable...)
}

// Read returns a record, as its process left it. The error is fs.ErrNotExist if no record has the name.
func (f Folder) Read(name string) (Record, error) {
	record, err := f.read(name)
	if err != nil || record.finished() || f.isHeld(name) {
		return record, err
	}
	// The process may have ended between the two looks. What it wrote last is there now.
	if record, err = f.read(name); err == nil && !record.finished() {
		record.State, record.Reason = Abandoned, "its process was killed"
	}
	return record, err
}

func (f Folder) read(name string) (Record, error) {
	var record Record
	if name == "" || name != filepath.Base(name) {
		return record, fmt.Errorf("publication %q: %w", name, fs.ErrNotExist)
	}
	path := f.file(name, recordSuffix)
	content, err := os.ReadFile(path)
	if err != nil {
		return record, fmt.Errorf("read publication: %w", err)
	}
	if err := json.Unmarshal(content, &record); err != nil || record.Name != name {
		return record, fmt.Errorf("read publication: %s is not a record: remove it", path)
	}
	return record, nil
}

// write replaces a record at once, so that a reader sees the old one or the new one.
func (f Folder) write(record Record) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("write publication: %w", err)
	}
	path := f.file(record.Name, newSuffix)
	if err := os.WriteFile(path, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write publication: %w", err)
	}
	if err := os.Rename(path, f.file(record.Name, recordSuffix)); err != nil {
		return fmt.Errorf("write publication: %w", err)
	}
	return nil
}

// Wait returns a record as soon as its process has ended, or the cause of ctx.
func (f Folder) Wait(ctx context.Context, name string) (Record, error) {
	if err := f.awaitLock(ctx, name); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Record{}, err
	}
	return f.Read(name)
}

// How many finished records stay, and for how long. One whose image is still kept in an engine's store stays longer,
// until that engine lets go of it.
const (
	maxFinished = 100
	maxAge      = 7 * 24 * time.Hour
	maxKeptAge  = 30 * 24 * time.Hour
)

// Settle writes that nothing keeps the image of a finished publication any more.
func (f Folder) Settle(record Record) error {
	record.KeptName = ""
	return f.write(record)
}

// Prune removes old finished records. What can't be removed stays: the next call tries again.
func (f Folder) Prune(now time.Time) {
	records, _ := f.List() // one that can't be read stays
	for _, name := range expired(records, now) {
		f.remove(name)
	}
}

// expired returns the names of the records to remove. records are sorted, the oldest first.
func expired(records []Record, now time.Time) []string {
	var names []string
	finished := 0
	for _, record := range slices.Backward(records) {
		if !record.finished() {
			continue
		}
		age := now.Sub(record.Began)
		if record.KeptName != "" {
			if age > maxKeptAge {
				names = append(names, record.Name)
			}
			continue
		}
		finished++
		if age > maxAge || finished > maxFinished {
			names = append(names, record.Name)
		}
	}
	return names
}
