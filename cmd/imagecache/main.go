// Command imagecache provides environments with dev container images from a project's cache, and shows a person the
// cache's contents. Installed as kubectl-imagecache it is a kubectl plugin.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/runner"
)

func main() {
	// Users don't need the libraries' own logs.
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	logrus.SetOutput(io.Discard)

	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup sets it
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		cancel(runner.ErrInterrupted)
		for received := range signals {
			// A terminal that closes sends SIGHUP more than once. Nobody asks for haste by that.
			if received != syscall.SIGHUP {
				os.Exit(cli.ExitInterrupted)
			}
		}
	}()

	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(execute(ctx, streams, os.Args))
}
