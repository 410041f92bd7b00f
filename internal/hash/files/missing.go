package files

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// missing says of a source that it isn't there, and where a link led.
func missing(name, resolved string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s is %w; symbolic links lead nowhere outside of it: %w", name, ErrMissing, err)
}
