package files

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// missing says of a source that it isn't there. To a build, the context is all
// there is, also where a link leads elsewhere.
func missing(name string, linked bool, err error) error {
	if !notThere(err) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if linked {
		return fmt.Errorf("%s is a symbolic link to what is %w: %w", name, ErrMissing, err)
	}
	return fmt.Errorf("%s is %w: %w", name, ErrMissing, err)
}

func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
