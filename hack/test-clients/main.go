// Command test-clients drives the AWS emulator with real clients, and prints one line for each thing that it checked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	emulator := flag.String("emulator", "", "the program aws-emulator")
	helper := flag.String("helper", "", "the program docker-credential-ecr-login")
	crane := flag.String("crane", "", "the program crane")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *emulator, *helper, *crane)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-clients:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, emulator, helper, crane string) (err error) {
	// The clients run in a folder of their own.
	if helper, err = filepath.Abs(helper); err != nil {
		return err
	}
	if crane, err = filepath.Abs(crane); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "test-clients-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	e, err := startEmulator(ctx, emulator)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	s := &session{ctx: ctx, emulator: e, work: work, helper: helper, craneProgram: crane}
	// podman and skopeo stumble over an authentication file that is named and not there.
	if err := os.WriteFile(filepath.Join(work, "auth.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	s.layout, err = writeImage(filepath.Join(work, "image"), "hello from test-clients\n")
	if err != nil {
		return err
	}
	began := time.Now()
	for _, client := range []func() error{s.aws, s.skopeo, s.podman, s.crane, s.credentialHelper} {
		if err := client(); err != nil {
			return err
		}
	}
	fmt.Printf("%d checks with real clients in %.1f s\n", s.checks, time.Since(began).Seconds())
	return nil
}
