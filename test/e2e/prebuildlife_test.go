package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imagecache.dev/internal/runner"
	"imagecache.dev/test/engine"
)

// nightly is a project that CI prebuilds.
const nightly = "nightly"

// applyNightly applies the project, which goes with the test.
func applyNightly(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "project.yaml")
	content := fmt.Sprintf("apiVersion: imagecache.dev/v1alpha1\nkind: ProjectImageCache\nmetadata: {name: %[1]s}\nspec: {runnerRef: {name: demo}, projectID: %[1]s}\n", nightly)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "-f", file)
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "-n", namespace, "delete", "-f", file); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=30s", "projectimagecache/"+nightly)
}

// environmentOf provides an environment of the project nightly with its image.
func (m *machine) environmentOf(folder, environment string) (result runner.Result) {
	m.t.Helper()
	got := m.imagecache("prepare", folder, "--project", nightly, "--environment", environment, "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		m.t.Fatalf("%v: %v", err, got)
	}
	return result
}

// ageImages makes the images of a project some days older. A new manager reads their push times again; those of a
// digest never change, so the old one would not.
func ageImages(t *testing.T, project string, days int) {
	t.Helper()
	repository := kubectl(t, "get", "projectimagecache", project, "-o", "jsonpath={.status.repository.name}")
	if err := cluster.AgeImages(t.Context(), repository, time.Duration(days)*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	cluster.StopManager()
	if err := cluster.StartManager(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recount makes the manager count the images now, by an edit of the spec, and waits for the condition ImagesDue.
func recount(t *testing.T, retentionDays int, due string) {
	t.Helper()
	kubectl(t, "patch", "projectimagecache", nightly, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"retentionDays":%d}}`, retentionDays))
	kubectl(t, "wait", "--for=condition=ImagesDue="+due, "--timeout=30s", "projectimagecache/"+nightly)
}

// TestLifeOfAPrebuiltImage takes a project from its first prebuild to the night in which its image is replaced, before
// it expires, while environments go on hitting it.
func TestLifeOfAPrebuiltImage(t *testing.T) {
	kind := buildKit(t)
	excludeManager(t)
	applyNightly(t)
	// A refresh pulls the base image again, so it has to be in a registry.
	folder := layeredFrom(t, base, t.Name(), "one")
	ci := newMachineOf(t, kind)
	settings := ci.asCI()
	prebuild := func(args ...string) ran {
		t.Helper()
		return ci.finish(ci.withPrograms(ci.command("imagecache", append([]string{"prebuild", folder, "--project", nightly}, args...)...), settings))
	}
	wants(t, prebuild(), 0, "Published")

	// The first environment on a machine that has nothing.
	user := newMachineOf(t, kind)
	hit := user.environmentOf(folder, "life-1")
	if hit.Outcome != runner.OutcomeHit {
		t.Fatalf("the first environment's outcome is %s: %s", hit.Outcome, hit.Reason)
	}
	first, second, _ := user.layers(hit.Image)

	// A change of the last step builds that step alone.
	missed := layersOfMiss(t, kind, layeredFrom(t, base, t.Name(), "two"))
	if want := [3]string{first, second, "two"}; missed != want {
		t.Errorf("the miss has the layers %v, want %v", missed, want)
	}

	// After 25 days the image is due. The one of the miss, which nobody pulled, is not.
	ageImages(t, nightly, 25)
	recount(t, 29, "true")
	if count := kubectl(t, "get", "projectimagecache", nightly, "-o", "jsonpath={.status.images.dueCount}/{.status.images.count}"); count != "1/2" {
		t.Errorf("%s images are due, want 1/2", count)
	}
	wants(t, prebuild(), 0, "Present")

	// Environments go on hitting while CI replaces it.
	replaced := make(chan ran)
	go func() { replaced <- prebuild("--due") }()
	var night ran
	for n, done := 2, false; !done; n++ {
		again := user.environmentOf(folder, fmt.Sprintf("life-%d", n))
		if again.Outcome != runner.OutcomeHit {
			t.Errorf("environment %d: the outcome is %s: %s", n, again.Outcome, again.Reason)
		}
		select {
		case night = <-replaced:
			done = true
		default:
		}
	}
	wants(t, night, 0, "Replaced")
	fresh := newMachineOf(t, kind).environmentOf(folder, "life-last")
	if fresh.Outcome != runner.OutcomeHit || fresh.Reference == hit.Reference {
		t.Errorf("after the night the outcome is %s, of %s; before it was of %s", fresh.Outcome, fresh.Reference, hit.Reference)
	}
	recount(t, 30, "false")
}

// layersOfMiss builds and publishes a workspace's image on a new machine, and returns what its steps wrote.
func layersOfMiss(t *testing.T, kind engine.Kind, folder string) (layers [3]string) {
	t.Helper()
	m := newMachineOf(t, kind)
	built := m.environmentOf(folder, "life-miss")
	if built.Outcome != runner.OutcomePublished {
		t.Fatalf("the outcome is %s: %s", built.Outcome, built.Reason)
	}
	layers[0], layers[1], layers[2] = m.layers(built.Image)
	return layers
}
