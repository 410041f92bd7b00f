package devcontainer

import (
	"encoding/json"
	"fmt"
)

// metadataProperties are the properties that go into an image's label
// devcontainer.metadata, in its order:
// https://containers.dev/implementors/reference/#labels
var metadataProperties = []string{
	"onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand", "postAttachCommand", "waitFor",
	"customizations", "mounts", "containerEnv", "containerUser", "init", "privileged", "capAdd", "securityOpt",
	"remoteUser", "userEnvProbe", "remoteEnv", "overrideCommand", "portsAttributes", "otherPortsAttributes",
	"forwardPorts", "shutdownAction", "updateRemoteUserUID", "hostRequirements",
}

// MetadataLabel is the label by which an image carries what its configuration
// says about containers: a JSON array, the last entry counts most.
const MetadataLabel = "devcontainer.metadata"

// Metadata returns this configuration's entry of the label, with variables as
// they are written; nil where it has nothing to say.
func (c *Configuration) Metadata() (json.RawMessage, error) {
	properties, err := c.currentProperties()
	if err != nil {
		return nil, fmt.Errorf("read metadata of %s: %w", c.Path, err)
	}
	entry := []byte{'{'}
	for _, name := range metadataProperties {
		value, found := properties[name]
		if !found {
			continue
		}
		if len(entry) > 1 {
			entry = append(entry, ',')
		}
		entry = fmt.Appendf(entry, "%q:%s", name, value)
	}
	if len(entry) == 1 {
		return nil, nil
	}
	return append(entry, '}'), nil
}

// currentProperties returns the top-level properties as plain JSON, the older
// ones where they belong now: https://github.com/devcontainers/spec/issues/1
func (c *Configuration) currentProperties() (map[string]json.RawMessage, error) {
	properties := map[string]json.RawMessage{}
	for i := range c.document.root.Members {
		value := c.document.root.Members[i].Value.Clone()
		value.Minimize()
		properties[memberName(c.document.root.Members[i])] = value.Pack()
	}
	older := map[string]any{}
	for _, name := range []string{"extensions", "settings", "devPort"} {
		if raw, found := properties[name]; found {
			var value any
			if err := json.Unmarshal(raw, &value); err != nil {
				return nil, err
			}
			older[name] = value
		}
	}
	if len(older) == 0 {
		return properties, nil
	}
	var customizations map[string]any
	if raw, found := properties["customizations"]; found {
		if err := json.Unmarshal(raw, &customizations); err != nil {
			return nil, err
		}
	}
	merged, err := json.Marshal(withOlder(customizations, older))
	properties["customizations"] = merged
	return properties, err
}

// withOlder merges the older properties into customizations.vscode, whose own win.
func withOlder(customizations, older map[string]any) map[string]any {
	if customizations == nil {
		customizations = map[string]any{}
	}
	vscode, ok := customizations["vscode"].(map[string]any)
	if !ok {
		vscode = map[string]any{}
	}
	customizations["vscode"] = vscode
	if extensions, ok := older["extensions"].([]any); ok {
		current, _ := vscode["extensions"].([]any)
		vscode["extensions"] = append(current, extensions...)
	}
	if settings, ok := older["settings"].(map[string]any); ok {
		current, _ := vscode["settings"].(map[string]any)
		for name, value := range current {
			settings[name] = value
		}
		vscode["settings"] = settings
	}
	if port, found := older["devPort"]; found && vscode["devPort"] == nil {
		vscode["devPort"] = port
	}
	return customizations
}
