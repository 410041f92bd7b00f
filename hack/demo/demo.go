package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"imagecache.dev/test/engine"
	"imagecache.dev/test/localcluster"
)

// namespace is the runner's, in the demo.
const namespace = "runner-demo"

// demo is one run.
type demo struct {
	root   string
	keep   bool
	dir    string
	screen screen

	cluster    *localcluster.Cluster
	kubeconfig string // the runner's
	workspace  string
	own        bool   // the workspace is the user's, and not to be changed
	base       string // reference of the base image, of the demo's own workspace
	kind       engine.Kind
	engines    []*engine.Engine    // docker's, one for each environment
	machines   map[string][]string // the variables that lead to each environment's engine
	times      []timing
}

// timing is how long an environment took to get its image.
type timing struct {
	environment string
	what        string
	took        time.Duration
}

// newDemo makes a demo of its own workspace, or of the user's.
func newDemo(root string, keep bool, workspace string) *demo {
	return &demo{root: root, keep: keep, workspace: workspace, own: workspace != "", screen: newScreen(os.Stdout), machines: map[string][]string{}}
}

// run is the demo from beginning to end. What it started ends with it, unless it is kept.
func (d *demo) run(ctx context.Context) (err error) {
	began := time.Now()
	if d.kind, err = engine.Usual(); err != nil {
		return err
	}
	if err := stopKept(d.root); err != nil {
		return err
	}
	if d.dir, err = makeStateFolder(d.root); err != nil {
		return err
	}
	kept := false
	defer func() {
		if kept {
			return
		}
		if d.cluster != nil {
			d.cluster.Stop()
		}
		err = errors.Join(err, d.closeEngines(), removeStateFolder(d.dir))
	}()
	steps := []func(context.Context) error{d.start, d.apply, d.first, d.second, d.third, d.look}
	if d.own {
		steps = []func(context.Context) error{d.start, d.apply, d.first, d.second, d.look}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return d.explain(err)
		}
	}
	d.summary(time.Since(began))
	if d.keep {
		kept = true // also if the settings can't be written: what runs is noted first
		return d.leave(ctx)
	}
	return nil
}

// start brings up Kubernetes, AWS and the manager.
func (d *demo) start(ctx context.Context) error {
	d.screen.step("Starting etcd, kube-apiserver, AWS and the manager on loopback")
	began := time.Now()
	cluster, err := localcluster.Start(ctx, localcluster.Options{
		Assets:   assetsFolder(d.root),
		Programs: filepath.Join(d.root, "bin"),
		Config:   filepath.Join(d.root, "config"),
		Dir:      d.dir,
	})
	if err != nil {
		return err
	}
	d.cluster = cluster
	if err := cluster.CreateSampleStack(ctx, map[string]string{"team": "platform", "cost-center": "4711"}); err != nil {
		return err
	}
	if !d.own {
		if err := d.prepareWorkspace(ctx); err != nil {
			return err
		}
	}
	d.screen.done("all is up", time.Since(began))
	d.screen.line("container engine of each environment: " + string(d.kind) + ", with a store of its own")
	if d.own && d.kind != engine.Podman {
		d.screen.line("RUN steps have no network with it: where your build needs one, install podman")
	}
	return nil
}

// prepareWorkspace copies the workspace, whose files change on the way, and puts its base image into the registry.
func (d *demo) prepareWorkspace(ctx context.Context) error {
	d.workspace = filepath.Join(d.dir, "workspace")
	if err := os.CopyFS(d.workspace, os.DirFS(filepath.Join(d.root, "hack", "demo", "workspace"))); err != nil {
		return fmt.Errorf("copy workspace: %w", err)
	}
	// A checkout of its own: the reference CLI mounts all of the repository around a workspace.
	if output, err := exec.CommandContext(ctx, "git", "init", "--quiet", d.workspace).CombinedOutput(); err != nil {
		return fmt.Errorf("copy workspace: git init: %w: %s", err, output)
	}
	var err error
	d.base, err = d.cluster.PushSampleBase(ctx)
	return err
}

// apply applies the sample objects and waits until they are ready.
func (d *demo) apply(ctx context.Context) error {
	d.screen.step("kubectl apply -f config/samples/simple.yaml")
	began := time.Now()
	var err error
	if d.kubeconfig, err = d.cluster.ApplySample(ctx, namespace); err != nil {
		return err
	}
	uri, err := d.cluster.Kubectl(ctx, "get", "-n", namespace, "pic/shop", "-o", "jsonpath={.status.repository.uri}")
	if err != nil {
		return err
	}
	d.screen.line("repository " + uri)
	d.screen.done("runner and project are ready", time.Since(began))
	return nil
}

func (d *demo) first(ctx context.Context) error {
	d.screen.step("First environment, e-1: nobody has built this configuration before")
	return d.imagecache(ctx, "prepare", "e-1", "miss, built and published", exitPublished)
}

func (d *demo) second(ctx context.Context) error {
	d.screen.step("Second environment, e-2, on another machine, with the same configuration")
	if d.own { // lifecycle commands would change the workspace
		return d.imagecache(ctx, "prepare", "e-2", "hit, pulled", exitHit)
	}
	err := d.imagecache(ctx, "up", "e-2", "hit, pulled; the container is up", exitHit)
	return errors.Join(err, d.removeContainer(ctx, "e-2"))
}

func (d *demo) third(ctx context.Context) error {
	d.screen.step("Third environment, e-3, after a comment in devcontainer.json was changed")
	path := filepath.Join(d.workspace, ".devcontainer", "devcontainer.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	changed := strings.Replace(string(content), "a Dockerfile and a Feature.", "a Dockerfile and a Feature!", 1)
	if changed == string(content) {
		return errors.New("the workspace's devcontainer.json has no comment to change")
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		return fmt.Errorf("change configuration: %w", err)
	}
	return d.imagecache(ctx, "prepare", "e-3", "miss again, built and published", exitPublished)
}

// Exit codes of imagecache prepare and up, with --exit-code.
const (
	exitHit       = 0
	exitPublished = 10
)

// imagecache runs what a runner runs for an environment, with an image store of its own as on a machine of its own.
func (d *demo) imagecache(ctx context.Context, name, environment, what string, wantCode int) error {
	env, err := d.environment(ctx, environment)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, filepath.Join(d.root, "bin", "imagecache"), name, d.workspace,
		"--project", "shop", "--environment", environment, "--exit-code")
	shown := "."
	if d.own {
		shown = d.workspace
	}
	d.screen.line("$ imagecache " + name + " " + shown + " --project shop --environment " + environment)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	command.Env = append(os.Environ(), env...)
	output := d.screen.indented()
	said := &bytes.Buffer{}
	command.Stdout, command.Stderr = output, io.MultiWriter(output, said)
	began := time.Now()
	err = command.Run()
	took := time.Since(began)
	output.flush()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("run imagecache: %w", err)
	}
	code := command.ProcessState.ExitCode()
	if d.own && code != wantCode {
		return &workspaceError{d.workspace, code, strings.TrimSpace(said.String())}
	}
	if code != wantCode {
		return fmt.Errorf("environment %s should be a %s, and imagecache %s ended with exit code %d",
			environment, what, name, code)
	}
	d.times = append(d.times, timing{environment: environment, what: what, took: took})
	d.screen.done(what, took)
	return nil
}

// look shows the objects as a person sees them.
func (d *demo) look(ctx context.Context) error {
	d.screen.step("kubectl get ric,pic,dci")
	table, err := d.cluster.Kubectl(ctx, "get", "-n", namespace, "ric,pic,dci")
	if err != nil {
		return err
	}
	d.screen.text(table)
	secrets, err := d.cluster.Kubectl(ctx, "get", "-n", namespace, "secrets", "-l", "imagecache.dev/credentials=push", "-o", "name")
	if err != nil {
		return err
	}
	if strings.TrimSpace(secrets) != "" {
		return fmt.Errorf("upload rights are left behind: %s", secrets)
	}
	d.screen.line("Upload rights left: none")
	return nil
}

// explain adds to an error where the logs are, and keeps them.
func (d *demo) explain(err error) error {
	var workspace *workspaceError
	if errors.As(err, &workspace) {
		return err // no log of ours knows more
	}
	logs := filepath.Join(d.root, "bin", "demo-logs")
	if copyLogs(d.dir, logs) != nil {
		return err
	}
	return fmt.Errorf("%w (the programs' logs are in bin/demo-logs)", err)
}

func (d *demo) summary(total time.Duration) {
	d.screen.step("Summary")
	if prepared := os.Getenv("IMAGECACHE_PREPARE_SECONDS"); prepared != "" {
		d.screen.line(fmt.Sprintf("%-38s %6s s", "building and installing tools", prepared))
	}
	for _, t := range d.times {
		d.screen.line(fmt.Sprintf("%-38s %6.1f s", t.environment+": "+t.what, t.took.Seconds()))
	}
	d.screen.line(fmt.Sprintf("%-38s %6.1f s", "demo in all, without tools", total.Seconds()))
}
