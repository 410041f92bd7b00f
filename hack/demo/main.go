// Command demo takes a real dev container workspace through the main job, on loopback: a first environment that misses,
// builds and publishes; a second one that hits; and a third one after a comment was changed, which misses again. It takes
// the user's own workspace where IMAGECACHE_DEMO_WORKSPACE names one, and changes nothing in it: no third one then.
//
//	demo          runs and leaves nothing behind
//	demo check    only looks whether the user's own workspace can be taken: IMAGECACHE_DEMO_WORKSPACE
//	KEEP=1 demo   leaves everything running, and says how to look around and how to end it
//	demo stop     ends what KEEP=1 left
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "demo: interrupted")
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := projectRoot()
	if err != nil {
		return err
	}
	if len(args) == 1 && args[0] == "stop" {
		return stopKept(root)
	}
	workspace, err := ownWorkspace(os.Getenv(workspaceVariable))
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return newDemo(root, os.Getenv("KEEP") != "", workspace).run(ctx)
	case len(args) == 1 && args[0] == "check":
		return nil
	default:
		return fmt.Errorf("unknown argument %q; there are \"check\" and \"stop\"", args[0])
	}
}
