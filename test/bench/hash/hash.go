// Package hash measures how long keys take, against reading the same files
// and nothing else.
package hash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
	"imagecache.dev/test/bench/figure"
)

const (
	fileBytes  = 10 << 10
	folderSize = 100 // files in a folder
	runs       = 9
)

// Run measures keys of two files, and of 5,000 and 50,000 copied files.
func Run(ctx context.Context) ([]figure.Figure, error) { return measure(ctx, 5_000, 50_000) }

// measure measures keys of two files, and of as many copied files as each count.
func measure(ctx context.Context, counts ...int) (figures []figure.Figure, err error) {
	workspace, err := os.MkdirTemp("", "imagecache-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(workspace)) }()
	small, err := measureSmall(ctx, filepath.Join(workspace, "small"))
	if err != nil {
		return nil, err
	}
	figures = append(figures, small)
	for _, count := range counts {
		copied, err := measureCopied(ctx, filepath.Join(workspace, fmt.Sprint(count)), count)
		if err != nil {
			return nil, err
		}
		figures = append(figures, copied)
	}
	return figures, nil
}

func measureSmall(ctx context.Context, workspace string) (figure.Figure, error) {
	if err := writeConfiguration(workspace); err != nil {
		return figure.Figure{}, err
	}
	var took []time.Duration
	for range 200 {
		start := time.Now()
		if err := compute(ctx, workspace, nil); err != nil {
			return figure.Figure{}, err
		}
		took = append(took, time.Since(start))
	}
	return figure.Figure{Name: "hash of a small devcontainer.json and Dockerfile", Value: milliseconds(median(took)), Unit: "ms", Goal: 1, Better: figure.Lower}, nil
}

// measureCopied takes turns, so that both see the same machine.
func measureCopied(ctx context.Context, workspace string, count int) (figure.Figure, error) {
	paths, err := writeFiles(workspace, count)
	if err != nil {
		return figure.Figure{}, err
	}
	var keys, reads []time.Duration
	for range runs {
		start := time.Now()
		if err := read(paths); err != nil {
			return figure.Figure{}, err
		}
		reads = append(reads, time.Since(start))
		start = time.Now()
		if err := compute(ctx, workspace, []string{hash.InputBuildContext}); err != nil {
			return figure.Figure{}, err
		}
		keys = append(keys, time.Since(start))
	}
	f := figure.Figure{Name: fmt.Sprintf("hash with %d copied files of 10 KiB, against reading them", count), Value: milliseconds(median(keys)), Unit: "ms", Goal: 1.35, Better: figure.Lower}
	return f.Against(milliseconds(median(reads))), nil
}

func compute(ctx context.Context, workspace string, inputs []string) error {
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		return err
	}
	_, err = hash.Compute(ctx, configuration, hash.Options{Inputs: inputs})
	return err
}

// read opens, reads and hashes files in two goroutines, and does nothing else.
func read(paths []string) error {
	var group errgroup.Group
	for half := range slices.Chunk(paths, (len(paths)+1)/2) {
		group.Go(func() error {
			digest, buffer := sha256.New(), make([]byte, 64<<10)
			for _, path := range half {
				digest.Reset()
				if err := readFile(path, digest, buffer); err != nil {
					return err
				}
				digest.Sum(buffer[:0])
			}
			return nil
		})
	}
	return group.Wait()
}

func readFile(path string, to io.Writer, buffer []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	for {
		n, err := file.Read(buffer)
		_, _ = to.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			return file.Close()
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
	}
}

func writeConfiguration(workspace string) error {
	if err := os.MkdirAll(filepath.Join(workspace, ".devcontainer"), 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(workspace, ".devcontainer/devcontainer.json"), []byte("// one\n{\"build\": {\"dockerfile\": \"Dockerfile\", \"context\": \"..\"}}\n"), 0o600),
		os.WriteFile(filepath.Join(workspace, ".devcontainer/Dockerfile"), []byte("FROM registry.example/base\nCOPY src /src\n"), 0o600),
	)
}

func writeFiles(workspace string, count int) ([]string, error) {
	if err := writeConfiguration(workspace); err != nil {
		return nil, err
	}
	content := make([]byte, fileBytes)
	var paths []string
	for i := range count {
		folder := filepath.Join(workspace, "src", fmt.Sprintf("d%04d", i/folderSize))
		if i%folderSize == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return nil, err
			}
		}
		copy(content, fmt.Sprint(i))
		path := filepath.Join(folder, fmt.Sprintf("f%04d", i%folderSize))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
