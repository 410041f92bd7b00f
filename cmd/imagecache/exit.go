package main

import (
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/runner"
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

// exitCodeOf returns the code of a preparation's outcome.
func exitCodeOf(outcome runner.Outcome) int {
	switch outcome {
	case runner.OutcomePublished:
		return cli.ExitPublished
	case runner.OutcomePublishing:
		return cli.ExitPublishing
	case runner.OutcomeBuilt:
		return cli.ExitBuilt
	case runner.OutcomeBypassed:
		return cli.ExitBypassed
	}
	return cli.ExitSuccess
}
