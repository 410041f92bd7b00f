package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const (
	manifestDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	configDigest   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// answering is a docker whose "image inspect" and API answer what is given. Without an answer of the API, asking fails.
func answering(t *testing.T, inspect, list string) (docker *program, asked func() bool) {
	t.Helper()
	dir := t.TempDir()
	api := "exit 1"
	if list != "" {
		// As dockerd's, the answer comes only while the client listens.
		api = "read -r request; printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n%s' '" + list + "'"
	}
	script := "#!/bin/sh\ncase $1 in image) echo '" + inspect + "' ;; " +
		"system) echo asked >" + dir + "/asked; " + api + " ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, Docker), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &program{name: Docker, path: filepath.Join(dir, Docker)}, func() bool {
		_, err := os.Stat(filepath.Join(dir, "asked"))
		return err == nil
	}
}

func TestComplete(t *testing.T) {
	inspected := func(id string) string {
		return `[{"Id": "` + id + `", "Os": "linux", "Config": {}, "RootFS": {"Layers": ["sha256:3"]}}]`
	}
	listed := func(id, available string) string {
		return `[{"Manifests": [{"ID": "` + id + `", "Available": ` + available + `}]}]`
	}
	tests := map[string]struct {
		inspect, list string
		asked         bool
		want          error
	}{
		"a graph driver's":      {inspect: inspected(configDigest)},
		"podman's":              {inspect: inspected(strings.TrimPrefix(configDigest, "sha256:"))},
		"containerd's":          {inspect: inspected(manifestDigest), list: listed(manifestDigest, "true"), asked: true},
		"blobs left out":        {inspect: inspected(manifestDigest), list: listed(manifestDigest, "false"), asked: true, want: ErrIncomplete},
		"another one of a name": {inspect: inspected(manifestDigest), list: listed(configDigest, "true"), asked: true, want: ErrNotTold},
		"Docker before 27":      {inspect: inspected(manifestDigest), list: `[{"Id": "x"}]`, asked: true, want: ErrNotTold},
		"an API out of reach":   {inspect: inspected(manifestDigest), asked: true, want: ErrNotTold},
		"no configuration": { // Docker 28 of an image without blobs
			inspect: `[{"Id": "` + manifestDigest + `", "Os": "", "Config": {"Labels": null}, "RootFS": {}}]`, want: ErrIncomplete,
		},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			docker, asked := answering(t, test.inspect, test.list)
			if err := docker.Complete(t.Context(), "x:1", manifestDigest); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if asked() != test.asked {
				t.Errorf("the API was asked: %t, want %t", asked(), test.asked)
			}
		})
	}
}

func TestAGraphDriversStoreIsNotAsked(t *testing.T) {
	for status, whole := range map[string]bool{
		`[["Backing Filesystem","extfs"],["Supports d_type","true"]]`: true,
		`[["driver-type","io.containerd.snapshotter.v1"]]`:            false,
		`null`:                                false,
		`Cannot connect to the Docker daemon`: false,
	} {
		docker, asked := answering(t, `[{"Id": "`+manifestDigest+`", "Os": "", "RootFS": {}}]`, "")
		script := "#!/bin/sh\ncase $1 in info) echo '" + status + "' ;; image) echo >" + filepath.Dir(docker.path) + "/asked; echo '[]' ;; esac\n"
		if err := os.WriteFile(docker.path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		docker.findStore(t.Context())
		if err := docker.Complete(t.Context(), "x:1", manifestDigest); (err == nil) != whole || asked() == whole {
			t.Errorf("%s: error %v, inspected: %t", status, err, asked())
		}
	}
}

func TestAnAPIThatDoesNotAnswerEndsWithItsContext(t *testing.T) {
	docker, _ := answering(t, "", "")
	if err := os.WriteFile(docker.path, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := docker.get(ctx, "/images/json", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// unpack writes the files of an archive into a folder.
func unpack(t *testing.T, archive io.Reader) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALayoutHasTheImageUnderItsNameAndDigest(t *testing.T) {
	image, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := writeLayout(&archive, image, "imagecache.local/web:1", func(v1.Hash) bool { return false }); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(unpack(t, &archive))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest {
		t.Fatalf("manifests %v, want %s", manifest.Manifests, digest)
	}
	if got := manifest.Manifests[0].Annotations[containerdName]; got != "imagecache.local/web:1" {
		t.Errorf("name %q", got)
	}
}

func TestALayoutLeavesOutKnownLayers(t *testing.T) {
	image, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	known, _ := layers[1].Digest()
	var archive bytes.Buffer
	if err := writeLayout(&archive, image, "web:1", func(digest v1.Hash) bool { return digest == known }); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(unpack(t, &archive), "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 || slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return entry.Name() == known.Hex }) {
		t.Errorf("blobs %v, want manifest, configuration and two layers", entries)
	}
}
