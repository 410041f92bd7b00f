package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/cli"
)

func TestWrongCommandLines(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no workspace":        {[]string{"prepare"}, "accepts 1 arg(s), received 0"},
		"no environment":      {[]string{"prepare", "."}, "an environment is required"},
		"unknown flag":        {[]string{"prepare", ".", "--bogus"}, "unknown flag: --bogus"},
		"unknown output":      {[]string{"prepare", ".", "-o", "xml"}, `--output must be name, json or jsonl, not "xml"`},
		"unknown trigger":     {[]string{"prepare", ".", "--environment", "e", "--trigger", "Sometimes"}, `trigger "Sometimes" is not known`},
		"unknown fallback":    {[]string{"prepare", ".", "--without-cluster", "maybe"}, "--without-cluster must be fail or build"},
		"no hash":             {[]string{"evict", "p"}, "accepts 2 arg(s), received 1"},
		"unknown table":       {[]string{"images", "p", "-o", "xml"}, "--output must be wide, json or yaml"},
		"unknown helper verb": {[]string{"credentials", "steal"}, "credentials accepts get, list, store and erase"},
		"no project":          {[]string{"credentials", "list"}, "a project is required"},
		"unknown command":     {[]string{"prepaer"}, `unknown command "prepaer"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := inPipe(t, "", test.args...)
			if code != cli.ExitUsage || stdout != "" {
				t.Errorf("exit code %d, standard output %q; want %d and none", code, stdout, cli.ExitUsage)
			}
			if !strings.HasPrefix(stderr, "imagecache: ") || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("standard error %q, want one sentence with %q", stderr, test.want)
			}
		})
	}
}

func TestVariablesStandForFlags(t *testing.T) {
	t.Setenv("IMAGECACHE_OUTPUT", "xml")
	if code, _, stderr := inPipe(t, "", "prepare", "."); code != cli.ExitUsage || !strings.Contains(stderr, `not "xml"`) {
		t.Errorf("the variable is not used: %s", stderr)
	}
	if _, _, stderr := inPipe(t, "", "prepare", ".", "-o", "json"); !strings.Contains(stderr, "an environment is required") {
		t.Errorf("the flag has to win over the variable: %s", stderr)
	}
	t.Setenv("IMAGECACHE_OUTPUT", "")
	t.Setenv("IMAGECACHE_WAIT", "maybe")
	if code, _, stderr := inPipe(t, "", "prepare", "."); code != cli.ExitUsage || !strings.Contains(stderr, `IMAGECACHE_WAIT="maybe" is not a valid value of --wait`) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, command := range newRoot(cli.Streams{}, "imagecache").Commands() {
		if command.Hidden || command.Name() == "help" || command.Name() == "completion" {
			continue
		}
		code, stdout, _ := inPipe(t, "", command.Name(), "--help")
		if code != cli.ExitSuccess || !strings.Contains(stdout, "Examples:") {
			t.Errorf("%s --help: exit code %d, no example:\n%s", command.Name(), code, stdout)
		}
	}
}

func TestFlagsOfPrepareHaveVariablesInTheirHelp(t *testing.T) {
	_, stdout, _ := inPipe(t, "", "prepare", "--help")
	for _, variable := range []string{"PROJECT", "ENVIRONMENT", "TRIGGER", "PLATFORM", "CONFIG", "WAIT", "NO_WAIT", "LOOKUP_TIMEOUT", "BUILD_TIMEOUT", "PULL", "BUILDER", "KUBECONFIG", "NAMESPACE"} {
		if !strings.Contains(stdout, "[$IMAGECACHE_"+variable+"]") {
			t.Errorf("no IMAGECACHE_%s in the help", variable)
		}
	}
}

func TestClusterFlagsAreApartInTheHelp(t *testing.T) {
	_, stdout, _ := inPipe(t, "", "prepare", "--help")
	own, ofCluster, found := strings.Cut(stdout, "Cluster Flags:\n")
	if !found || !strings.Contains(own, "--project") || strings.Contains(own, "--kubeconfig") || !strings.Contains(ofCluster, "--kubeconfig") {
		t.Errorf("help:\n%s", stdout)
	}
	if _, stdout, _ := inPipe(t, "", "version", "--help"); strings.Contains(stdout, "Cluster Flags") {
		t.Errorf("help of version:\n%s", stdout)
	}
}

func TestAsKubectlPlugin(t *testing.T) {
	root := newRoot(cli.Streams{}, "/usr/local/bin/kubectl-imagecache")
	if got := root.CommandPath(); got != "kubectl imagecache" {
		t.Errorf("the plugin calls itself %q", got)
	}
	for _, command := range root.Commands() {
		if command.Name() != "images" {
			continue
		}
		for _, flag := range []string{"kubeconfig", "context", "namespace", "as", "token"} {
			if command.Flags().Lookup(flag) == nil {
				t.Errorf("kubectl's flag --%s is missing", flag)
			}
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := inPipe(t, "", "completion", shell); code != cli.ExitSuccess || len(stdout) < 1000 {
			t.Errorf("completion %s: exit code %d, %d bytes, %s", shell, code, len(stdout), stderr)
		}
	}
}

func TestCompletionWithoutAClusterIsEmpty(t *testing.T) {
	code, stdout, _ := inPipe(t, "", cobra.ShellCompRequestCmd, "images", "--kubeconfig", filepath.Join(t.TempDir(), "none"), "")
	if code != cli.ExitSuccess || strings.TrimSpace(stdout) != ":4" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestDocumentationHasEveryCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cli.md")
	if code, _, stderr := inPipe(t, "", "docs", file); code != cli.ExitSuccess {
		t.Fatal(stderr)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"prepare", "hash", "images", "projects", "explain", "evict", "doctor", "credentials", "version"} {
		if !strings.Contains(string(content), "## imagecache "+command+"\n") {
			t.Errorf("no section of %s", command)
		}
	}
	for _, unwanted := range []string{"SEE ALSO", "Auto generated", os.Getenv("HOME") + "/"} {
		if strings.Contains(string(content), unwanted) {
			t.Errorf("the documentation has %q", unwanted)
		}
	}
}

func TestVersion(t *testing.T) {
	if _, stdout, _ := inPipe(t, "", "version"); !strings.HasPrefix(stdout, "imagecache ") {
		t.Errorf("version prints %q", stdout)
	}
	if _, stdout, _ := inPipe(t, "", "--version"); !strings.HasPrefix(stdout, "imagecache version ") {
		t.Errorf("--version prints %q", stdout)
	}
	if _, stdout, _ := inPipe(t, "", "version", "-o", "json"); !strings.Contains(stdout, `"hashVersion": 1`) {
		t.Errorf("version -o json prints %q", stdout)
	}
}
