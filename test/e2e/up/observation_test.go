package up

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// observation is what a person or a program sees of a dev container.
type observation struct {
	// Answer is what devcontainer up printed, without the container's ID.
	Answer map[string]any
	// Merged is the configuration that devcontainer up used.
	Merged map[string]any
	// Read is what devcontainer read-configuration prints, as an IDE calls it.
	Read map[string]any
	// Container is what the engine was told.
	Container map[string]any
	// Log are the lines that the lifecycle commands wrote, in their order.
	Log []string
	// Builds are the builds that devcontainer up ran, by their Dockerfiles.
	Builds []string `json:"-"`
}

// answered reads the answer of devcontainer up, which may have the cache's beside.
func answered(t *testing.T, printed string) (answer, merged map[string]any) {
	t.Helper()
	answer = decoded(t, printed)
	merged, _ = answer["mergedConfiguration"].(map[string]any)
	for _, name := range []string{
		"mergedConfiguration", "configuration", "cache", "containerId", "ociAuthDiagnostics",
		"message", // the command line that failed, with the image's name
	} {
		delete(answer, name)
	}
	// What the image is built from is in no container.
	for _, name := range []string{
		"image", "build", "dockerFile", "context", "features", "overrideFeatureInstallOrder", "dockerComposeFile",
	} {
		delete(merged, name)
	}
	return answer, merged
}

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// settled removes from an inspected container what differs between any two containers, and the documented differences:
// the image's name, and the labels that the cache adds.
func settled(t *testing.T, container map[string]any) map[string]any {
	t.Helper()
	config, _ := container["Config"].(map[string]any)
	host, _ := container["HostConfig"].(map[string]any)
	for _, name := range []string{
		"Image", "CreateCommand",
		"Annotations", // podman's hold the time, and what builds noted about the base image
	} {
		delete(config, name)
	}
	for _, name := range []string{"ContainerIDFile", "LogConfig"} {
		delete(host, name)
	}
	if id, name := textOf(container["Id"]), textOf(config["Hostname"]); name != "" && strings.HasPrefix(id, name) {
		delete(config, "Hostname")
	}
	if config["User"] == "" {
		config["User"] = "root"
	}
	config["Labels"] = settledLabels(t, config["Labels"])
	sortList(config["Env"])
	// podman lists them in any order.
	sortList(host["Binds"])
	sortList(container["Mounts"])
	kept := map[string]any{"Config": config, "HostConfig": host, "Mounts": container["Mounts"]}
	content, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	// IDs of the container, and names of volumes without one.
	return decoded(t, longID.ReplaceAllString(string(content), "ID"))
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}

var longID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// namingLabels hold the names of images and of temporary files, or a hash over them.
var namingLabels = []string{
	"io.buildah.version", // podman adds it to what it builds
	"com.docker.compose.config-hash", "com.docker.compose.image", "com.docker.compose.project.config_files",
}

func settledLabels(t *testing.T, labels any) map[string]any {
	t.Helper()
	kept := map[string]any{}
	all, _ := labels.(map[string]any)
	for name, value := range all {
		if !strings.HasPrefix(name, "dev.imagecache.") && !slices.Contains(namingLabels, name) {
			kept[name] = value
		}
	}
	// Docker Compose lists them in any order.
	if text, ok := kept["com.docker.compose.depends_on"].(string); ok {
		services := strings.Split(text, ",")
		slices.Sort(services)
		kept["com.docker.compose.depends_on"] = services
	}
	if text, ok := kept["devcontainer.metadata"].(string); ok {
		var entries []map[string]any
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			t.Fatalf("label devcontainer.metadata: %v in %s", err, text)
		}
		// The reference CLI reads the need of GPUs from the configuration alone, so it is there a second time.
		entries = slices.DeleteFunc(entries, func(entry map[string]any) bool {
			requirements, _ := entry["hostRequirements"].(map[string]any)
			return len(entry) == 1 && len(requirements) == 1 && requirements["gpu"] != nil
		})
		kept["devcontainer.metadata"] = entries
		if len(entries) == 0 {
			delete(kept, "devcontainer.metadata") // the same as none
		}
	}
	return kept
}

// sortList sorts a list by the JSON of its values.
func sortList(list any) {
	values, _ := list.([]any)
	slices.SortFunc(values, func(a, b any) int {
		first, _ := json.Marshal(a)
		second, _ := json.Marshal(b)
		return bytes.Compare(first, second)
	})
}

// pick returns an object's members of these names.
func pick(object map[string]any, names ...string) map[string]any {
	kept := maps.Clone(object)
	maps.DeleteFunc(kept, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return kept
}
