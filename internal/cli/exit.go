package cli

import (
	"errors"
	"fmt"
	"io"

	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// Exit codes. The outcomes of a success differ only on request, so that a script may rely on zero.
const (
	ExitSuccess     = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPublished   = 10
	ExitBuilt       = 11
	ExitBypassed    = 12
	ExitPublishing  = 13
	ExitInterrupted = 130
)

// Code is an error that ends the program with this exit code, without a message.
type Code int

// Error returns nothing: the code says it all.
func (Code) Error() string { return "" }

// ExitCode returns the exit code for a command's error, and prints the error in one sentence.
func ExitCode(err error, out io.Writer) int {
	var code Code
	var usage *runner.UsageError
	switch {
	case err == nil:
		return ExitSuccess
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, runner.ErrInterrupted):
		_, _ = fmt.Fprintln(out, "imagecache: interrupted")
		return ExitInterrupted
	}
	_, _ = fmt.Fprintln(out, "imagecache: "+message.Sentence(err.Error()))
	if errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitFailed
}

// UsageError returns the error of an invalid command line, which ends the program with ExitUsage.
func UsageError(format string, args ...any) error {
	return &runner.UsageError{Message: fmt.Sprintf(format, args...)}
}
