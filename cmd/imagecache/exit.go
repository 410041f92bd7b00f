package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"imagecache.dev/internal/runner"
)

// Exit codes. Those of a success are told apart on request only, so that a script may rely on zero.
const (
	exitSuccess     = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPublished   = 10
	exitBuilt       = 11
	exitBypassed    = 12
	exitInterrupted = 130
)

// exitHelp documents the codes in the help of prepare.
const exitHelp = `Exit codes:
  0    the environment has its image (or, of a Compose configuration, needs none)
  1    failed: there is no image, and one sentence on standard error says why
  2    the command line is wrong
  130  interrupted
and with --exit-code, instead of 0:
  0    hit: a cached image was pulled
  10   built here and published
  11   built here, not published
  12   bypassed: the cache does not apply`

// outcomeCode ends the program with the code of an outcome, without a message.
type outcomeCode int

func (outcomeCode) Error() string { return "" }

// exitCodeOf is the code of a preparation's outcome.
func exitCodeOf(outcome runner.Outcome) int {
	switch outcome {
	case runner.OutcomePublished:
		return exitPublished
	case runner.OutcomeBuilt:
		return exitBuilt
	case runner.OutcomeBypassed:
		return exitBypassed
	}
	return exitSuccess
}

// exitCode says what a command's error means for the caller, and tells the person in one sentence.
func exitCode(err error, out io.Writer) int {
	var code outcomeCode
	var usage *runner.UsageError
	switch {
	case err == nil:
		return exitSuccess
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, runner.ErrInterrupted):
		_, _ = fmt.Fprintln(out, "imagecache: interrupted")
		return exitInterrupted
	}
	_, _ = fmt.Fprintln(out, "imagecache: "+strings.Join(strings.Fields(err.Error()), " "))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// usageError makes the error of a wrong command line.
func usageError(format string, args ...any) error {
	return &runner.UsageError{Message: fmt.Sprintf(format, args...)}
}
