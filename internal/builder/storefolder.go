package builder

import (
	"context"
	"fmt"
)

// StoreFolder returns the folder in which an engine keeps its images. The folder may be on another machine. It is empty
// for an engine without a store on disk.
func StoreFolder(ctx context.Context, engine Engine) (string, error) {
	p, ok := engine.(*program)
	if !ok {
		return "", nil
	}
	format := "{{.DockerRootDir}}"
	if p.name == Podman {
		format = "{{.Store.GraphRoot}}"
	}
	folder, err := p.output(ctx, "info", "--format", format)
	if err != nil {
		return "", fmt.Errorf("find the store of %s: %w", p.name, err)
	}
	return folder, nil
}
