package up

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"imagecache.dev/test/engine"
)

// comparison is a configuration whose containers are compared.
type comparison struct {
	// config is the devcontainer.json. In it, «X» is a command that adds X to the log, <mapped> are the runArgs that
	// podman needs for a user other than root, <port> is a free port, and <base>, <dev>, <labelled> and <serving> are
	// base images.
	config string
	// path of the devcontainer.json, if not the default one.
	path string
	// files are the workspace's other files.
	files map[string]string
	// args are further arguments of devcontainer up, with FOLDER for the workspace.
	args []string
	// atOnce: the lifecycle commands run at once, so the order of their lines is free.
	atOnce bool
	// label by which the container is found, if not the workspace's.
	label string
	// bypassed: the cache is not asked.
	bypassed bool
	// unpublished: a value of the machine reaches the build, so the image is used only where it was built.
	unpublished bool
	// builds: the label does not tell all, so the container of a hit is built as if the cache did not exist.
	builds bool
	// fails: devcontainer up fails, with the cache or without.
	fails bool
	// mayFail: devcontainer up fails on some machines.
	mayFail bool
	// compose: the configuration is one of Docker Compose.
	compose bool
	// byDefault: the project says nothing about Docker Compose.
	byDefault bool
	// prepare does more to the workspace.
	prepare func(t *testing.T, p *place)
}

func (c comparison) configPath() string { return cmp.Or(c.path, ".devcontainer/devcontainer.json") }

func (c comparison) written(kind engine.Kind) string {
	mapped := `[]`
	if kind == engine.Podman {
		mapped = `["--uidmap=0:0:65536"]`
	}
	return strings.NewReplacer(
		"<base>", baseImage, "<dev>", devImage, "<labelled>", labelledImage, "<serving>", servingImage,
		"«", "echo ", "»", " >> log", "<mapped>", mapped,
	).Replace(c.config)
}

// engines that are compared.
var engines = []engine.Kind{engine.Podman, engine.Docker28Containerd}

// TestContainersAreThoseOfDevcontainerUp compares a container without the cache with those of a miss and a hit, and
// what it is after a restart. All tests of an engine share it: it takes seconds to start.
func TestContainersAreThoseOfDevcontainerUp(t *testing.T) {
	for _, kind := range engines {
		t.Run(string(kind), func(t *testing.T) {
			m := newMachine(t, kind)
			for i, name := range slices.Sorted(maps.Keys(comparisons)) {
				test := comparisons[name]
				if !long() && !slices.Contains(short[kind], name) {
					continue
				}
				t.Run(name, func(t *testing.T) { compare(t, m.place(t, name, test), fmt.Sprintf("%s-%d", kind.Program(), i)) })
			}
			if kind == composeEngine {
				t.Run("Docker Compose", m.testDockerCompose)
			}
		})
	}
}

func compare(t *testing.T, p *place, environment string) {
	t.Helper()
	defer p.remove(t)
	p.takeLog(t)
	devcontainer := func(t *testing.T) ran { return p.devcontainer(t) }
	plain := p.up(t, devcontainer(t))
	plainAgain := p.again(t, devcontainer)
	if fails := plain.Answer["outcome"] != "success"; fails != p.test.fails && !p.test.mayFail {
		t.Fatalf("devcontainer up answers %v", plain.Answer)
	}
	for _, way := range []string{"Published", "Hit"} {
		p.remove(t)
		run := func(t *testing.T) ran { return p.imagecache(t, environment+strings.ToLower(way)) }
		first := run(t)
		got := p.up(t, first)
		p.checkWay(t, way, first, got)
		difference(t, way, plain, got, first)
		if way == "Hit" {
			difference(t, way+", again", plainAgain, p.again(t, run), first)
		}
	}
}

// up observes the container that a program brought up.
func (p *place) up(t *testing.T, got ran) observation {
	t.Helper()
	o := p.observe(t, got)
	if o.Container != nil {
		o.Read = p.read(t)
	}
	return o
}

// again stops the container, brings it up once more, and observes it.
func (p *place) again(t *testing.T, run func(t *testing.T) ran) observation {
	t.Helper()
	p.stop(t)
	return p.observe(t, run(t))
}

// checkWay checks that the image came as it should, and that nothing else was built.
func (p *place) checkWay(t *testing.T, way string, got ran, seen observation) {
	t.Helper()
	want := way
	switch {
	case p.test.bypassed:
		want = "Bypassed"
	case p.test.unpublished:
		want = "Built"
	}
	result, _ := decoded(t, got.stdout)["cache"].(map[string]any)
	if result["outcome"] != want {
		t.Errorf("%s: the cache's outcome is %v, want %s: %s", way, result["outcome"], want, got.stderr)
	}
	if way != "Hit" || p.test.bypassed || p.test.unpublished || p.test.builds {
		return
	}
	for _, build := range seen.Builds {
		if !strings.HasPrefix(build, "updateUID.Dockerfile") {
			t.Errorf("a hit builds %s: %s", build, got.stderr)
		}
	}
}

func difference(t *testing.T, way string, want, got observation, of ran) {
	t.Helper()
	want.Builds, got.Builds = nil, nil
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs from devcontainer up (-without the cache, +with it):\n%s\n%s", way, diff, of.stderr)
	}
}

func sortLines(lines []string) { slices.Sort(lines) }
