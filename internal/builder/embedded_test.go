package builder_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/test/enginetest"
	"imagecache.dev/test/testimage"
)

func embedded(t *testing.T) builder.Engine {
	t.Helper()
	t.Setenv(builder.StoreVariable, filepath.Join(t.TempDir(), "store"))
	engine, err := builder.Find(t.Context(), builder.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// baseFor makes a random image with a label.
func baseFor(t *testing.T, architecture, label string) v1.Image {
	t.Helper()
	image := testimage.Random(t, 1000, 3, func(config *v1.ConfigFile) {
		config.Architecture = architecture
		if label != "" {
			config.Config.Labels = map[string]string{"devcontainer.metadata": label}
		}
	})
	return mutate.MediaType(image, types.OCIManifestSchema1)
}

// push serves an image from a registry that wants a password, or none where that is empty.
func push(t *testing.T, image v1.Image, password string) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); !open && given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	reference, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	open = password == ""
	return reference.String()
}

func TestTheEmbeddedBuilderAddsTheMetadata(t *testing.T) {
	engine := embedded(t)
	base := baseFor(t, "amd64", `{"remoteUser": "base"}`)
	reference := push(t, base, "")
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "` + reference + `", "remoteUser": "me", /* c */ "customizations": {"x": [1,]}}`})
	request := builder.Request{Workspace: workspace, ImageName: "built:1", Platform: "linux/amd64"}
	if _, err := engine.Build(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	image, err := engine.Save(t.Context(), "built:1", t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	if got, want := metadataOf(t, image), `[{"remoteUser":"base"},{"customizations":{"x":[1]},"remoteUser":"me"}]`; strings.ReplaceAll(got, " ", "") != want {
		t.Errorf("metadata %s, want %s", got, want)
	}
	if mediaType, err := image.MediaType(); err != nil || mediaType != types.OCIManifestSchema1 {
		t.Errorf("media type %s, %v", mediaType, err)
	}
	want, _ := base.ConfigFile()
	got, _ := image.ConfigFile()
	if diff := cmp.Diff(want.RootFS, got.RootFS); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}

	if err := engine.Tag(t.Context(), "built:1", "tagged:1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := engine.Remove(t.Context(), "built:1"); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	if _, err := engine.Save(t.Context(), "built:1", t.TempDir(), compression.Gzip, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Save of what is removed: %v", err)
	}
	if _, err := engine.Save(t.Context(), "tagged:1", t.TempDir(), compression.Gzip, nil); err != nil {
		t.Errorf("Save: %v", err)
	}
	if err := engine.Remove(t.Context(), "tagged:1"); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv(builder.StoreVariable), "blobs/sha256/*")); err != nil || len(left) != 0 {
		t.Errorf("blobs left: %v, %v", left, err)
	}
}

func TestTheEmbeddedBuilderUsesTheGivenCredentials(t *testing.T) {
	engine := embedded(t)
	reference := push(t, baseFor(t, "amd64", ""), "secret")
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "` + reference + `"}`})
	request := builder.Request{Workspace: workspace, ImageName: "built:1", Platform: "linux/amd64"}
	var failed *builder.BuildError
	if _, err := engine.Build(t.Context(), request); !errors.As(err, &failed) {
		t.Errorf("Build without credentials: %v", err)
	}
	request.DockerConfigDir = t.TempDir()
	host, _, _ := strings.Cut(reference, "/")
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:secret")))
	if err := os.WriteFile(filepath.Join(request.DockerConfigDir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Build(t.Context(), request); err != nil {
		t.Errorf("Build: %v", err)
	}
}

func TestTheEmbeddedBuilderRefusesWhatItCanNotBuild(t *testing.T) {
	engine := embedded(t)
	reference := push(t, baseFor(t, "arm64", ""), "")
	for json, want := range map[string]string{
		`{"dockerFile": "Dockerfile"}`:            "not supported by this builder",
		`{"image": "a", "features": {"./f": {}}}`: "without Features",
		`{"image": "` + reference + `"}`:          "it is for linux/arm64, want linux/amd64",
		`{"image": "` + reference + `none"}`:      "pull ",
	} {
		workspace := workspaceOf(t, map[string]string{".devcontainer.json": json, "Dockerfile": "FROM a\n"})
		_, err := engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "built:1", Platform: "linux/amd64"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build of %s: %v, want %q", json, err, want)
		}
	}
}

func TestBothBuildersMakeTheSameMetadata(t *testing.T) {
	e := enginetest.Start(t)
	own := embedded(t)
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{
		// every kind of value
		"image": "` + e.Base + `", "name": "x", "remoteUser": "root", "containerEnv": {"A": "a\"$b\\c", "B": "${localEnv:HOME}"},
		"mounts": ["type=volume,target=/x"], "init": true, "forwardPorts": [1, "a:2"], "onCreateCommand": {"a": ["b", "c"]},
		"hostRequirements": {"cpus": 2}, "settings": {"a": "<ä>"}, "extensions": ["p.q"], "postStartCommand": null,
	}`})
	var labels []any
	for _, engine := range []builder.Engine{e.Engine, own} {
		if _, err := engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "localhost/imagecache-test/same:1"}); err != nil {
			t.Fatal(err)
		}
		image, err := engine.Save(t.Context(), "localhost/imagecache-test/same:1", t.TempDir(), compression.Gzip, nil)
		if err != nil {
			t.Fatal(err)
		}
		var label any
		if err := json.Unmarshal([]byte(metadataOf(t, image)), &label); err != nil {
			t.Fatalf("%s: %v", engine.Name(), err)
		}
		labels = append(labels, label)
	}
	if diff := cmp.Diff(labels[0], labels[1]); diff != "" {
		t.Errorf("labels (-%s +%s):\n%s", e.Engine.Name(), own.Name(), diff)
	}
}
