package builder_test

import (
	"bytes"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// TestEveryEngineBuildsFeatures builds without any registry but the test's own.
func TestEveryEngineBuildsFeatures(t *testing.T) {
	for _, kind := range engine.All {
		t.Run(string(kind), func(t *testing.T) {
			e := enginetest.StartKind(t, kind)
			const feature = ".devcontainer/tool/"
			for name, files := range map[string]map[string]string{
				"image": {".devcontainer/devcontainer.json": `{"image": "` + e.Base + `", "features": {"./tool": {}}}`},
				"Dockerfile": {
					".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}}}`,
					".devcontainer/Dockerfile":        "FROM " + e.Base + "\nRUN echo built >/built\n",
				},
			} {
				files[feature+"devcontainer-feature.json"] = `{"id": "tool", "version": "1.0.0", "name": "Tool"}`
				files[feature+"install.sh"] = "#!/bin/sh\nset -e\necho installed >/tool\n"
				t.Run(name, func(t *testing.T) {
					const built = "localhost/imagecache-test/kinds:1"
					var logs bytes.Buffer
					request := builder.Request{Workspace: workspaceOf(t, files), ImageName: built, Logs: &logs}
					first, err := e.Engine.Build(t.Context(), request)
					if err != nil {
						t.Fatalf("Build: %v\n%s", err, logs.String())
					}
					image, err := e.Engine.Save(t.Context(), built, t.TempDir(), compression.Gzip, nil)
					if err != nil {
						t.Fatal(err)
					}
					if got := fileOf(t, image, "tool"); got != "installed\n" {
						t.Errorf("the Feature wrote %q, want \"installed\"", got)
					}
					if name == "Dockerfile" {
						countsCachedSteps(t, e.Engine, request, first)
					}
				})
			}
		})
	}
}

// countsCachedSteps builds twice more, from the layer cache and without it.
func countsCachedSteps(t *testing.T, e builder.Engine, request builder.Request, first *builder.Result) {
	t.Helper()
	second, err := e.Build(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	request.NoCache = true
	third, err := e.Build(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if second.CachedSteps <= first.CachedSteps || third.CachedSteps > 0 {
		t.Errorf("%d, %d and %d steps from the layer cache; want more at the second build, and none without the cache",
			first.CachedSteps, second.CachedSteps, third.CachedSteps)
	}
}
