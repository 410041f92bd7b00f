package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"imagecache.dev/internal/runner"
)

// Exit codes. The outcomes of a success differ only on request, so that a script may rely on zero.
const (
	exitSuccess     = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPublished   = 10
	exitBuilt       = 11
	exitBypassed    = 12
	exitPublishing  = 13
	exitInterrupted = 130
)

// exitHelp documents the codes in the help of prepare.
const exitHelp = `Exit codes:
  0    the environment has its image, or needs none for a Compose configuration
  1    failed: no image exists, and one sentence on standard error tells why
  2    the command line is wrong
  130  interrupted
With --exit-code, success is one of:
  0    hit: a cached image was pulled
  10   built here and published
  11   built here, not published
  12   bypassed: the cache does not apply
  13   built here, and being published in the background`

// upExitHelp documents the codes in the help of up.
const upExitHelp = `Exit codes:
  0    the container is up, and its lifecycle commands ended
  1    failed: one sentence on standard error tells why
  2    the command line is wrong
  130  interrupted
With --exit-code, success is one of:
  0    hit: a cached image was pulled
  10   built here and published
  11   built here, not published
  12   bypassed: the cache does not apply, or the container existed
  13   built here, and being published in the background`

// outcomeCode ends the program with the code of an outcome, without a message.
type outcomeCode int

func (outcomeCode) Error() string { return "" }

// exitCodeOf returns the code of a preparation's outcome.
func exitCodeOf(outcome runner.Outcome) int {
	switch outcome {
	case runner.OutcomePublished:
		return exitPublished
	case runner.OutcomePublishing:
		return exitPublishing
	case runner.OutcomeBuilt:
		return exitBuilt
	case runner.OutcomeBypassed:
		return exitBypassed
	}
	return exitSuccess
}

// exitCode returns the exit code for a command's error, and prints the error in one sentence.
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

// usageError returns the error of an invalid command line.
func usageError(format string, args ...any) error {
	return &runner.UsageError{Message: fmt.Sprintf(format, args...)}
}
