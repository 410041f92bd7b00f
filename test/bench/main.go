// Command bench runs the project's benchmarks, prints their figures as a table and writes them as JSON.
//
//	bench [-o FILE] [NAME...]
//
// A benchmark is a function of a package below this one, named in the list benchmarks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"imagecache.dev/test/bench/answer"
	"imagecache.dev/test/bench/awsemulator"
	"imagecache.dev/test/bench/controlplane"
	"imagecache.dev/test/bench/dashboard"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/hash"
	"imagecache.dev/test/bench/projects"
	"imagecache.dev/test/bench/publish"
	"imagecache.dev/test/bench/start"
	"imagecache.dev/test/bench/targets"
	"imagecache.dev/test/bench/transfer"
)

type benchmark struct {
	name string
	run  func(context.Context) ([]figure.Figure, error)
}

// benchmarks in the order in which they run.
var benchmarks = []benchmark{
	{"controlplane", controlplane.Run},
	{"answer", answer.Run},
	{"finished", answer.RunFinished},
	{"unanswered", answer.RunUnanswered},
	{"publish", publish.Run},
	{"transfer", transfer.Run},
	{"start", start.Run},
	{"miss", start.RunMiss},
	{"hash", hash.Run},
	{"awsemulator", awsemulator.Run},
	{"projects", projects.Run},
	{"targets", targets.Run},
	{"dashboard", dashboard.Run},
}

func main() {
	output := flag.String("o", "", "write the figures to this file, as a JSON list")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: bench [-o FILE] [NAME...]\nnames: %s\n", strings.Join(names(), " "))
		flag.PrintDefaults()
	}
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Args(), *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what is selected. A benchmark that fails takes nothing from the figures of the others.
func run(ctx context.Context, selected []string, output string) error {
	chosen, err := choose(selected)
	if err != nil {
		return err
	}
	var figures []figure.Figure
	var failures []error
	for _, benchmark := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "  %s ...\n", benchmark.name)
		measured, err := benchmark.run(ctx)
		figures = append(figures, measured...)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", benchmark.name, err))
		}
		fmt.Fprintf(os.Stderr, "  %s: %.0f s\n", benchmark.name, time.Since(began).Seconds())
		if ctx.Err() != nil {
			failures = append(failures, context.Cause(ctx))
			break
		}
	}
	return errors.Join(append(failures, report(figures, output))...)
}

func report(figures []figure.Figure, output string) error {
	if err := figure.WriteTable(os.Stdout, figures); err != nil {
		return err
	}
	if output == "" {
		return nil
	}
	file, err := os.Create(output)
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return errors.Join(figure.WriteJSON(file, figures), file.Close())
}

// choose returns the benchmarks with the given names, in their own order; all without names.
func choose(selected []string) ([]benchmark, error) {
	for _, name := range selected {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no benchmark %q; there are: %s", name, strings.Join(names(), ", "))
		}
	}
	if len(selected) == 0 {
		return benchmarks, nil
	}
	return slices.DeleteFunc(slices.Clone(benchmarks), func(b benchmark) bool {
		return !slices.Contains(selected, b.name)
	}), nil
}

func names() []string {
	all := make([]string, 0, len(benchmarks))
	for _, benchmark := range benchmarks {
		all = append(all, benchmark.name)
	}
	return all
}
