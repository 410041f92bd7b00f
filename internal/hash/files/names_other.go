//go:build !linux

package files

import (
	"fmt"
	"io/fs"
	"os"
)

// child is one name in a folder.
type child struct {
	name string
	mode fs.FileMode // type bits
}

func readFolder(folder *os.Root) ([]child, error) {
	opened, err := folder.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	entries, err := opened.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	children := make([]child, 0, len(entries))
	for _, entry := range entries {
		children = append(children, child{name: entry.Name(), mode: entry.Type()})
	}
	return children, nil
}
