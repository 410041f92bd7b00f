package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"imagecache.dev/internal/runner"
	"imagecache.dev/test/engine"
)

// layered is a workspace whose image tells which layers were built: each RUN but the last writes random bytes.
func layered(t *testing.T, marker, last string) string {
	t.Helper()
	return layeredFrom(t, "busybox:stable", marker, last)
}

// layeredFrom is a layered workspace with another base image.
func layeredFrom(t *testing.T, base, marker, last string) string {
	t.Helper()
	return workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}} // ` + marker,
		".devcontainer/Dockerfile": "FROM " + base + "\nRUN head -c 16 /dev/urandom | sha256sum >/first\n" +
			"RUN head -c 16 /dev/urandom | sha256sum >/second\nRUN echo " + last + " >/last\n",
	})
}

// layers are what the steps of a layered image wrote.
func (m *machine) layers(image string) (first, second, last string) {
	m.t.Helper()
	got := m.client("run", "--rm", image, "cat", "/first", "/second", "/last")
	wants(m.t, got, 0)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 3 {
		m.t.Fatalf("the image's files are %q", lines)
	}
	return lines[0], lines[1], lines[2]
}

// asCI makes a machine's programs the service account that may prebuild.
func (m *machine) asCI() []string {
	m.t.Helper()
	_, ci := applyCronJob(m.t)
	return as(ci)
}

func (m *machine) prebuild(folder string, settings []string) {
	m.t.Helper()
	wants(m.t, m.finish(m.withPrograms(m.command("imagecache", "prebuild", folder), settings)), 0)
}

// buildKit is an engine with BuildKit, which alone can take layers over.
func buildKit(t *testing.T) engine.Kind {
	t.Helper()
	engine.Require(t, engine.Docker28Containerd)
	return engine.Docker28Containerd
}

func TestMissAfterAPrebuildBuildsOnlyWhatChanged(t *testing.T) {
	kind := buildKit(t)
	ci := newMachineOf(t, kind)
	before := layered(t, t.Name(), "one")
	ci.prebuild(before, ci.asCI())
	published := newMachineOf(t, kind)
	first, second, _ := published.layers(published.prepared(before, "layers-hit").Image)

	m := newMachineOf(t, kind)
	after := m.prepared(layered(t, t.Name(), "two"), "layers-miss")
	if after.Outcome != runner.OutcomePublished {
		t.Fatalf("outcome %s: %s", after.Outcome, after.Reason)
	}
	newFirst, newSecond, last := m.layers(after.Image)
	if newFirst != first || newSecond != second || last != "two" {
		t.Errorf("layers %s, %s, %s; want those of the prebuild, and two", newFirst, newSecond, last)
	}
	// A hit of the image that took layers over is whole.
	other := newMachineOf(t, kind)
	hit := other.prepared(layered(t, t.Name(), "two"), "layers-hit-2")
	hitFirst, _, hitLast := other.layers(hit.Image)
	if hit.Outcome != runner.OutcomeHit || hitFirst != first || hitLast != "two" {
		t.Errorf("%s, layers %s, %s", hit.Outcome, hitFirst, hitLast)
	}
}

// TestLayersOfAnEnvironmentAreNotTakenOver is the attack that spec.layerReuse is about: a build that leaves something in a
// cache mount makes a layer that its step does not explain, and its image lends that layer to others.
func TestLayersOfAnEnvironmentAreNotTakenOver(t *testing.T) {
	kind := buildKit(t)
	innocent := func(marker, last string) string {
		return workspace(t, map[string]string{
			".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}} // ` + marker,
			".devcontainer/Dockerfile": "FROM busybox:stable\nRUN --mount=type=cache,id=tools,target=/tools cat /tools/tool >/tool 2>/dev/null || echo good >/tool\n" +
				"RUN echo " + last + " >/last\n",
		})
	}
	for reuse, want := range map[string]string{"Prebuilds": "good", "Any": "evil"} {
		t.Run(reuse, func(t *testing.T) {
			setLayerReuse(t, reuse)
			attacker := newMachineOf(t, kind)
			poison := workspace(t, map[string]string{"Dockerfile": "FROM busybox:stable\nRUN --mount=type=cache,id=tools,target=/tools echo evil >/tools/tool\n"})
			wants(t, attacker.client("build", "--tag", "poison", poison), 0)
			if got := attacker.prepared(innocent(t.Name(), "attacker"), "attacker-"+strings.ToLower(reuse)); got.Outcome != runner.OutcomePublished {
				t.Fatalf("the attacker's outcome is %s: %s", got.Outcome, got.Reason)
			}
			victim := newMachineOf(t, kind)
			built := victim.prepared(innocent(t.Name(), "victim"), "victim-"+strings.ToLower(reuse))
			tool := victim.client("run", "--rm", built.Image, "cat", "/tool")
			if got := strings.TrimSpace(tool.stdout); built.Outcome != runner.OutcomePublished || got != want {
				t.Errorf("the victim's outcome is %s, and its tool is %s, want %s", built.Outcome, got, want)
			}
		})
	}
}

// setLayerReuse sets a field of the project until the test ends.
func setLayerReuse(t *testing.T, reuse string) {
	t.Helper()
	set := func(ctx context.Context, value string) error {
		_, err := cluster.Kubectl(ctx, "-n", namespace, "patch", "projectimagecache", project, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"layerReuse":%q}}`, value))
		return err
	}
	if err := set(t.Context(), reuse); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(context.Background(), "Prebuilds"); err != nil {
			t.Error(err)
		}
	})
}
