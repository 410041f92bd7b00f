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

// programs are what the run needs besides those on PATH.
type programs struct{ emulator, helper, crane, oras, templates string }

func main() {
	var p programs
	flag.StringVar(&p.emulator, "emulator", "", "the program aws-emulator")
	flag.StringVar(&p.helper, "helper", "", "the program docker-credential-ecr-login")
	flag.StringVar(&p.crane, "crane", "", "the program crane")
	flag.StringVar(&p.oras, "oras", "", "the program oras")
	flag.StringVar(&p.templates, "templates", "", "the folder config/aws")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-clients:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p programs) (err error) {
	// The clients run in a folder of their own.
	for _, path := range []*string{&p.helper, &p.crane, &p.oras, &p.templates} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "c-") // podman takes no path of its run folder with more than 50 characters
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	e, err := startEmulator(ctx, p.emulator)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	s := &session{ctx: ctx, emulator: e, work: work, helper: p.helper, craneProgram: p.crane, orasProgram: p.oras, templates: p.templates}
	// podman and skopeo stumble over an authentication file that is named and not there.
	if err := os.WriteFile(filepath.Join(work, "auth.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	s.layout, err = writeImage(filepath.Join(work, "image"), "hello from test-clients\n")
	if err != nil {
		return err
	}
	began := time.Now()
	for _, client := range []func() error{s.aws, s.deploy, s.skopeo, s.platform, s.podman, s.crane, s.oras, s.credentialHelper} {
		if err := client(); err != nil {
			return err
		}
	}
	fmt.Printf("%d checks with real clients in %.1f s\n", s.checks, time.Since(began).Seconds())
	return nil
}
