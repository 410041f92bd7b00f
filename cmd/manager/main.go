// Command manager runs the controllers of the dev container image cache.
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"imagecache.dev/internal/message"
)

func main() {
	if err := newCommand().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", message.Redact(err.Error()))
		os.Exit(1)
	}
}
