package builder_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// A publication that goes on must save what its own build made, whatever later builds do with the name.
func TestIDNamesWhatWasBuiltAfterAnotherBuildTookTheName(t *testing.T) {
	for _, kind := range engine.All {
		t.Run(string(kind), func(t *testing.T) {
			e := enginetest.StartKind(t, kind)
			const name = "localhost/imagecache-test/id:1"
			build := func(content string) string {
				var logs bytes.Buffer
				result, err := e.Engine.Build(t.Context(), builder.Request{ImageName: name, Logs: &logs, Workspace: workspaceOf(t, map[string]string{
					".devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`,
					"Dockerfile":         "FROM " + e.Base + "\nRUN echo " + content + " >/content\n",
				})})
				if err != nil {
					t.Fatalf("Build: %v\n%s", err, logs.String())
				}
				return result.ImageID
			}
			ids := map[string]string{"first": build("first"), "second": build("second")}
			if err := e.Engine.Tag(t.Context(), ids["second"], "localhost/imagecache-test/kept:1"); err != nil {
				t.Fatal(err)
			}
			ids["third"] = build("third")
			for want, id := range ids {
				image, err := e.Engine.Save(t.Context(), id, t.TempDir(), compression.Gzip, nil)
				if err != nil && want == "first" {
					continue // containerd's store keeps no image without a name
				}
				if err != nil {
					t.Errorf("Save of the %s build: %v", want, err)
				} else if got := fileOf(t, image, "content"); got != want+"\n" {
					t.Errorf("the ID of the %s build names the content %q", want, got)
				}
			}
			if _, err := e.Engine.Save(t.Context(), "sha256:00000000000000000000000000000000000000000000000000000000000000aa", t.TempDir(), compression.Gzip, nil); err == nil {
				t.Error("an unknown ID is no error")
			}
		})
	}
}

func TestTheEmbeddedBuilderSavesByID(t *testing.T) {
	e := embedded(t)
	build := func(metadata string) string {
		base := push(t, baseFor(t, "amd64", metadata), "")
		workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "` + base + `"}`})
		result, err := e.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "built:1", Platform: "linux/amd64"})
		if err != nil {
			t.Fatal(err)
		}
		return result.ImageID
	}
	first := build(`{"remoteUser": "one"}`)
	if _, err := e.Save(t.Context(), first, t.TempDir(), compression.Gzip, nil); err != nil {
		t.Errorf("Save: %v", err)
	}
	second := build(`{"remoteUser": "two"}`)
	if err := e.Tag(t.Context(), second, "kept:1"); err != nil {
		t.Fatal(err)
	}
	build(`{"remoteUser": "three"}`)
	if _, err := e.Save(t.Context(), first, t.TempDir(), compression.Gzip, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Save of what another build replaced: %v", err)
	}
	if image, err := e.Save(t.Context(), second, t.TempDir(), compression.Gzip, nil); err != nil || metadataOf(t, image) != `{"remoteUser": "two"}` {
		t.Errorf("Save of what has another name: %v", err)
	}
}
