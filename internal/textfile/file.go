// Package textfile keeps the metrics of short-lived processes in a file that node_exporter's textfile collector reads
// (https://github.com/prometheus/node_exporter#textfile-collector). Each process adds what it counted to what is
// there, so that nothing is lost between two scrapes.
package textfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"imagecache.dev/internal/filelock"
)

// extension is that of the files that the collector reads.
const extension = ".prom"

// Check says whether a file is one that the collector reads.
func Check(path string) error {
	if filepath.Ext(path) != extension {
		return fmt.Errorf("%s does not end in %s, and node_exporter reads no other files", path, extension)
	}
	return nil
}

// Add adds what was gathered to a file: counters and histograms are summed up, gauges replaced. Others that add to
// the same file at the same time wait for each other; whoever reads it sees a whole file, always. A file that can't
// be read as metrics is left as it is, and is an error.
func Add(path string, gatherer prometheus.Gatherer) error {
	fresh, err := gatherer.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	known, err := read(path)
	if err != nil {
		return err
	}
	for _, family := range fresh {
		if err := merge(known, family); err != nil {
			return fmt.Errorf("%s holds other metrics of this name; remove it: %w", path, err)
		}
	}
	return write(path, known)
}

// lockTimeout is how long to wait for others that add; each takes milliseconds.
const lockTimeout = 5 * time.Second

// lock waits until nobody else holds a file's lock.
func lock(path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	unlock, err = filelock.Lock(ctx, path, filelock.Exclusive, nil)
	if err != nil {
		return nil, fmt.Errorf("lock metrics: %w", err)
	}
	return unlock, nil
}

func read(path string) (map[string]*dto.MetricFamily, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]*dto.MetricFamily{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s holds something else than metrics; remove it: %w", path, err)
	}
	return families, nil
}

// write replaces a file in one step. The temporary file's name ends so that the collector does not read it.
func write(path string, families map[string]*dto.MetricFamily) error {
	var text bytes.Buffer
	for _, name := range sortedNames(families) {
		if _, err := expfmt.MetricFamilyToText(&text, families[name]); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimSuffix(filepath.Base(path), extension)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	_, err = file.Write(text.Bytes())
	err = errors.Join(err, file.Chmod(0o644), file.Close()) // node_exporter is another user
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write metrics: %w", err), os.Remove(file.Name()))
	}
	return nil
}
