package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// object is one object of a rendered file, as JSON has it.
type object = map[string]any

// output runs a program with the cluster's kubeconfig, and returns what it prints, or its complaint.
func output(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	home := t.TempDir()
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig,
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// must is output where a failure ends the test.
func must(t *testing.T, stdin, program string, args ...string) string {
	t.Helper()
	printed, err := output(t, stdin, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return printed
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, "", filepath.Join(root, "bin", "helm"), args...)
}

func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return must(t, stdin, filepath.Join(programs, "kubectl"), args...)
}

// fromSource is the one value that a chart out of the source tree needs: what ko builds.
const fromSource = "image.repository=ko://imagecache.dev/cmd/manager"

// templateArgs render the chart as a release of the namespace of config/default.
func templateArgs(args ...string) []string {
	return append([]string{"template", release, chart, "--namespace", namespace, "--set", fromSource}, args...)
}

// objects reads a rendered file. The key of an object is kind, namespace and name.
func objects(t *testing.T, text string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for document := range strings.SplitSeq(text, "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("read an object: %v\n%s", err, document)
		}
		if len(o) == 0 {
			continue
		}
		metadata, ok := o["metadata"].(object)
		if !ok {
			t.Fatalf("an object without metadata: %s", document)
		}
		where, _ := metadata["namespace"].(string)
		key := fmt.Sprintf("%s %s/%s", o["kind"], where, metadata["name"])
		if found[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		found[key] = o
	}
	return found
}
