package override

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/jsonc"
)

// Errors of Configuration. Without an override, the workspace's own configuration is right, if slower.
var (
	// ErrNotRead: the configuration was not read, or is of another type.
	ErrNotRead = errors.New("the configuration is not one that can be read")
	// ErrOtherLabel: the image's label does not end with what the configuration says.
	ErrOtherLabel = errors.New("the image's label " + devcontainer.MetadataLabel +
		" does not end with this configuration's entry")
	// ErrOwnLabel: the Dockerfile sets the label, which the reference CLI does not read when it builds.
	ErrOwnLabel = errors.New("the Dockerfile sets the label " + devcontainer.MetadataLabel)
)

// builtFrom are the properties that only a build reads.
var builtFrom = []string{
	"image", "build", "dockerFile", "context", "features", "overrideFeatureInstallOrder",
}

// olderCustomizations are the properties that the reference CLI moves below customizations.
var olderCustomizations = []string{"extensions", "settings", "devPort"}

// Configuration returns a devcontainer.json, as JSON, by which a container of the image becomes what a container of the
// configuration is, whose build made the image. Variables stay as they are written.
func Configuration(c *devcontainer.Configuration, image Image) (json.RawMessage, error) {
	if c == nil || c.Properties() == nil || c.Type != devcontainer.TypeImage && c.Type != devcontainer.TypeDockerfile {
		return nil, ErrNotRead
	}
	left, err := brought(c, image)
	if err != nil {
		return nil, err
	}
	return written(c, left, jsonc.NewMember("image", jsonc.NewString(image.Name)))
}

// written writes the properties of a configuration after a first one, without those that are left out and those that
// only a build reads.
func written(c *devcontainer.Configuration, left []string, first jsonc.Member) (json.RawMessage, error) {
	left = append(left, builtFrom...)
	override := jsonc.Value{Kind: jsonc.Object, Members: []jsonc.Member{first}}
	for _, member := range c.Properties().Members {
		switch name := member.Name(); {
		case name == "hostRequirements" && slices.Contains(left, name):
			override.Members = append(override.Members, gpu(&member.Value)...)
		case !slices.Contains(left, name):
			override.Members = append(override.Members, member)
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, override.AppendJSON(nil), "", "\t"); err != nil {
		return nil, fmt.Errorf("write override configuration: %w", err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// brought returns the names of the properties that the image's label brings.
func brought(c *devcontainer.Configuration, image Image) ([]string, error) {
	own := c.Metadata()
	if own == nil {
		// The build writes the label only if it has something to say.
		if len(c.Features) == 0 && bytes.Contains(c.DockerfileRaw, []byte(devcontainer.MetadataLabel)) {
			return nil, ErrOwnLabel
		}
		return nil, nil
	}
	entry, _, err := jsonc.Parse(own, maxNesting)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	entries := image.entries()
	if len(entries) == 0 {
		return nil, ErrOtherLabel
	}
	last := &entries[len(entries)-1]
	if last.Kind != jsonc.Object || len(last.Members) == 0 {
		return nil, ErrOtherLabel
	}
	var names []string
	for i := range last.Members {
		name := last.Members[i].Name()
		// Entries of Features have an id, and no configuration has one in its entry.
		if !equal(&last.Members[i].Value, entry.Member(name)) {
			return nil, ErrOtherLabel
		}
		names = append(names, name)
	}
	if slices.Contains(names, "customizations") {
		names = append(names, olderCustomizations...)
	}
	return names, nil
}

// gpu returns what the reference CLI reads of hostRequirements in the configuration itself, and not in the label:
// whether to give the container the host's GPUs.
func gpu(requirements *jsonc.Value) []jsonc.Member {
	wanted := requirements.Member("gpu")
	if !wanted.Truthy() {
		return nil
	}
	only := jsonc.Value{Kind: jsonc.Object, Members: []jsonc.Member{jsonc.NewMember("gpu", *wanted)}}
	return []jsonc.Member{jsonc.NewMember("hostRequirements", only)}
}
