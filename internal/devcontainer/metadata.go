package devcontainer

import (
	"encoding/json"
	"slices"

	"imagecache.dev/internal/jsonc"
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

// Properties returns the object that the devcontainer.json holds, as the reference CLI's parser reads it and with
// variables as they are written. It is nil for a configuration that was not read. The caller does not change it.
func (c *Configuration) Properties() *jsonc.Value {
	if c.document == nil {
		return nil
	}
	return c.document.root
}

// Metadata returns this configuration's entry of the label, with variables as
// they are written; nil where it has nothing to say.
func (c *Configuration) Metadata() json.RawMessage {
	properties := currentProperties(c.document.root)
	entry := jsonc.Value{Kind: jsonc.Object}
	for _, name := range metadataProperties {
		if value := properties.Member(name); value != nil {
			entry.Members = append(entry.Members, jsonc.NewMember(name, *value))
		}
	}
	if len(entry.Members) == 0 {
		return nil
	}
	return entry.AppendJSON(nil)
}

// currentProperties returns the top-level properties, the older ones where they
// belong now: https://github.com/devcontainers/spec/issues/1
func currentProperties(root *jsonc.Value) jsonc.Value {
	extensions, settings, port := root.Member("extensions"), root.Member("settings"), root.Member("devPort")
	if !extensions.Truthy() && !settings.Truthy() && port == nil {
		return *root
	}
	customizations := root.Member("customizations")
	vscode := jsonc.Merge(customizations.Member("vscode"))
	if extensions.Truthy() {
		vscode = with(&vscode, "extensions", concat(vscode.Member("extensions"), extensions))
	}
	if settings.Truthy() {
		vscode = with(&vscode, "settings", jsonc.Merge(settings, vscode.Member("settings")))
	}
	if port != nil && vscode.Member("devPort") == nil {
		vscode = with(&vscode, "devPort", *port)
	}
	return with(root, "customizations", with(customizations, "vscode", vscode))
}

// with returns a copy of an object with a member set; of nil or another kind, an object with that member alone.
func with(object *jsonc.Value, name string, value jsonc.Value) jsonc.Value {
	return jsonc.Merge(object, &jsonc.Value{Members: []jsonc.Member{jsonc.NewMember(name, value)}})
}

// concat returns the elements of before and those of after, or after itself where it is not an array.
func concat(before, after *jsonc.Value) jsonc.Value {
	array := jsonc.Value{Kind: jsonc.Array}
	if before != nil {
		array.Elements = slices.Clone(before.Elements)
	}
	if after.Kind == jsonc.Array {
		array.Elements = append(array.Elements, after.Elements...)
	} else {
		array.Elements = append(array.Elements, *after)
	}
	return array
}
