package override

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/jsonc"
)

// ComposeFilePrefix begins the name of an extra Compose file. The reference CLI keeps a file of such a name: where a
// container exists and does not run, it calls Docker Compose with that file of the container's again, and so nothing is
// built then.
// https://github.com/devcontainers/cli/blob/main/src/spec-node/dockerCompose.ts (checkForPersistedFile)
const ComposeFilePrefix = "docker-compose.devcontainer.build"

// Service is a service of Docker Compose with its image.
type Service struct {
	Name, Image string
}

// ComposeImages is the extra Compose file that starts services with images that exist. It is written by hand: what
// Docker Compose prints of a project loses "!reset".
// https://docs.docker.com/reference/compose-file/merge/#reset-value
func ComposeImages(services []Service) []byte {
	var file bytes.Buffer
	file.WriteString("services:\n")
	for _, service := range services {
		fmt.Fprintf(&file, "  %s:\n    image: %s\n    build: !reset null\n    pull_policy: never\n",
			quoted(service.Name), quoted(service.Image))
	}
	return file.Bytes()
}

// ComposeNames is the extra Compose file that gives the images of services names, by service.
func ComposeNames(names map[string]string) []byte {
	var file bytes.Buffer
	file.WriteString("services:\n")
	for _, service := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&file, "  %s:\n    image: %s\n", quoted(service), quoted(names[service]))
	}
	return file.Bytes()
}

// quoted writes a text as YAML, in which Docker Compose replaces no variable.
func quoted(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(strings.ReplaceAll(text, "$", "$$")) // a string
	return strings.TrimSuffix(out.String(), "\n")
}

// Compose returns a devcontainer.json, as Configuration does, of a configuration of Docker Compose. service says from
// what the dev container's service was built, as a configuration without Docker Compose. Its image is named in extra, a
// further Compose file with an absolute path. defaults are the absolute paths of the files where the configuration
// names none.
func Compose(
	c, service *devcontainer.Configuration, image Image, defaults []string, extra string,
) (json.RawMessage, error) {
	if c == nil || c.Properties() == nil || c.Type != devcontainer.TypeCompose {
		return nil, ErrNotRead
	}
	left, err := brought(service, image)
	if err != nil {
		return nil, err
	}
	files := jsonc.Value{Kind: jsonc.Array, Elements: composeFiles(c, defaults)}
	files.Elements = append(files.Elements, jsonc.NewString(filepath.ToSlash(extra)))
	return written(c, append(left, composeFileProperty), jsonc.NewMember(composeFileProperty, files))
}

const composeFileProperty = "dockerComposeFile"

// composeFiles are the files that the configuration names, as they are written: the reference CLI reads them from the
// place of the workspace's own configuration. Where it names none, they are the default ones.
func composeFiles(c *devcontainer.Configuration, defaults []string) []jsonc.Value {
	if len(c.ComposeFiles) > 0 {
		named := c.Properties().Member(composeFileProperty)
		if named.Kind == jsonc.Array {
			return slices.Clone(named.Elements)
		}
		return []jsonc.Value{*named}
	}
	files := make([]jsonc.Value, 0, len(defaults)+1)
	for _, file := range defaults {
		files = append(files, jsonc.NewString(filepath.ToSlash(file)))
	}
	return files
}
