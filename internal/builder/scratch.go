package builder

import (
	"context"
	"os"
	"sync"

	"imagecache.dev/internal/tempfolder"
)

// scratch makes a private folder for temporary files and the variables that lead programs there. A program that is
// killed leaves its files, and the folder takes them along.
//
// docker's daemon has a folder of its own. podman's temporary files may be as large as images, so they stay on the file
// system that podman has for them.
func (p *program) scratch(kind tempfolder.Kind) (folder *tempfolder.Folder, environment []string, err error) {
	if p.temporary != nil {
		if folder, err = tempfolder.NewIn(p.temporary(), kind); err == nil {
			return folder, []string{"TMPDIR=" + folder.Path}, nil
		}
	}
	if folder, err = tempfolder.New(kind); err != nil {
		return nil, nil, err
	}
	if p.temporary == nil && os.Getenv("TMPDIR") == "" {
		return folder, []string{"TMP=" + folder.Path}, nil // for Node.js alone
	}
	return folder, []string{"TMPDIR=" + folder.Path}, nil
}

// runWithFolder runs a command that may write much, with a folder for its temporary files.
func (p *program) runWithFolder(ctx context.Context, c command) error {
	if p.temporary == nil {
		return c.run(ctx)
	}
	folder, environment, err := p.scratch(tempfolder.Transfer)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Remove() }()
	c.environment = append(c.environment, environment...)
	return c.run(ctx)
}

// findTemporary asks podman for the folder of its temporary files, while the caller goes on:
// https://github.com/containers/common/blob/main/docs/containers.conf.5.md (image_copy_tmp_dir)
func (p *program) findTemporary(ctx context.Context) {
	p.temporary = sync.OnceValue(func() string {
		if folder := os.Getenv("TMPDIR"); folder != "" {
			return folder
		}
		folder, err := p.output(ctx, "info", "--format", "{{.Store.ImageCopyTmpDir}}")
		if err != nil || folder == "" {
			return tempfolder.Large
		}
		return folder
	})
	go p.temporary()
}
