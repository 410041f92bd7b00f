package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// session is one run against one emulator.
type session struct {
	ctx          context.Context
	emulator     *emulatorProcess
	work         string
	helper       string
	craneProgram string
	orasProgram  string
	templates    string // the folder of this project's CloudFormation templates
	layout       string // OCI layout of the test image
	password     string // of the registry, from "aws ecr get-login-password"
	checks       int
}

// check runs a program once. With fails == "" it must succeed and its output have all of wants; else it must fail, and say fails.
type check struct {
	args  []string
	stdin string
	env   []string
	wants []string
	fails string
}

// slow is more than any of these calls takes.
const slow = 2 * time.Minute

func (s *session) check(c check) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, slow)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Stdin = strings.NewReader(c.stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Env = append(s.environment(), c.env...)
	cmd.Dir = s.work
	began := time.Now()
	err := cmd.Run()
	what := filepath.Base(c.args[0]) + " " + s.shown(c.args[1:])
	if err := judge(c, err, out.String(), errOut.String()); err != nil {
		fmt.Printf("FAIL  %s\n%s%s", what, out.String(), errOut.String())
		return "", fmt.Errorf("%s: %w", what, err)
	}
	s.checks++
	if c.fails != "" {
		what += "   (refused, as it must be)"
	}
	fmt.Printf("ok  %5.2f s  %s\n", time.Since(began).Seconds(), what)
	return out.String(), nil
}

func judge(c check, err error, out, errOut string) error {
	if c.fails != "" {
		if err == nil {
			return errors.New("it succeeded, but must not")
		}
		if !strings.Contains(out+errOut, c.fails) {
			return fmt.Errorf("it failed without saying %q", c.fails)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, want := range c.wants {
		if !strings.Contains(out, want) {
			return fmt.Errorf("its output lacks %q", want)
		}
	}
	return nil
}

// shown is a command line without passwords, and short.
func (s *session) shown(args []string) string {
	line := strings.Join(args, " ")
	for _, flags := range []string{" --tls-verify=false", "--insecure-policy "} {
		line = strings.ReplaceAll(line, flags, "")
	}
	line = strings.ReplaceAll(line, strings.Join(s.storage(), " ")+" ", "")
	if s.password != "" {
		line = strings.ReplaceAll(line, s.password, "***")
	}
	line = strings.ReplaceAll(strings.ReplaceAll(line, s.work, "."), s.emulator.host, "HOST")
	if len(line) > 110 {
		line = line[:107] + "..."
	}
	return line
}

// storage is podman's, for this run alone.
func (s *session) storage() []string {
	return []string{"--root", filepath.Join(s.work, "storage"), "--runroot", filepath.Join(s.work, "run"), "--storage-driver", "vfs", "--events-backend", "file"}
}

// environment leads every client to the emulator and to folders of this run alone.
func (s *session) environment() []string {
	env := []string{
		"HOME=" + s.work, "XDG_RUNTIME_DIR=" + s.work, "REGISTRY_AUTH_FILE=" + filepath.Join(s.work, "auth.json"),
		"AWS_ENDPOINT_URL=" + s.emulator.url, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region, "AWS_ACCESS_KEY_ID=" + keyID,
		"AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_ECR_DISABLE_CACHE=true",
	}
	for _, kept := range os.Environ() {
		name, _, _ := strings.Cut(kept, "=")
		switch {
		case name == "HOME", name == "XDG_RUNTIME_DIR", name == "REGISTRY_AUTH_FILE", strings.HasPrefix(name, "AWS_"), strings.HasSuffix(strings.ToLower(name), "_proxy"):
		default:
			env = append(env, kept)
		}
	}
	return env
}

// all runs checks in order, up to the first that fails.
func (s *session) all(checks ...check) error {
	for _, c := range checks {
		if _, err := s.check(c); err != nil {
			return err
		}
	}
	return nil
}
