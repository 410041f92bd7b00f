package browser

import (
	"errors"
	"os/exec"
	"path/filepath"
)

// findProgram returns the path of a browser that playwright drives: Debian's chromium or Google's. One that is a snap is
// passed over: it sees a /tmp of its own, and not that of the driver. hack/browser.sh looks for the same.
func findProgram() (path string, err error) {
	for _, name := range []string{"chromium", "google-chrome-stable", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		target, err := filepath.EvalSymlinks(path)
		if err == nil && filepath.Base(target) != "snap" {
			return path, nil
		}
	}
	return "", errors.New("no chromium and no google-chrome: run make browser")
}
