// Package imageconfig edits the configurations of images. It keeps every property that it does not know: builders have
// their own there, as BuildKit has its inline cache (https://docs.docker.com/build/cache/backends/inline/), and
// v1.ConfigFile drops those.
package imageconfig

import (
	"encoding/json"
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// properties is a JSON object of which only some properties are known here. The others keep their bytes.
type properties map[string]json.RawMessage

// Edit is a change of an image's configuration.
type Edit struct {
	// Labels replace those of the same name, and are added to the others.
	Labels map[string]string
	// Platform of an image whose configuration names neither a system nor an architecture.
	Platform v1.Platform
}

// Apply returns a configuration with the edit.
func (e Edit) Apply(raw []byte) ([]byte, error) {
	var known v1.ConfigFile
	config, runtime := properties{}, properties{}
	if err := json.Unmarshal(raw, &known); err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	if config == nil {
		config = properties{}
	}
	if member, ok := config["config"]; ok {
		if err := json.Unmarshal(member, &runtime); err != nil {
			return nil, fmt.Errorf("read image configuration: %w", err)
		}
	}
	if runtime == nil { // the configuration has null there
		runtime = properties{}
	}
	labels := maps.Clone(known.Config.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, e.Labels)
	runtime.set("Labels", labels)
	config.set("config", runtime)
	if known.OS == "" && known.Architecture == "" {
		config.setPlatform(e.Platform)
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write image configuration: %w", err)
	}
	return content, nil
}

func (p properties) setPlatform(platform v1.Platform) {
	for name, value := range map[string]string{
		"os": platform.OS, "architecture": platform.Architecture, "variant": platform.Variant,
	} {
		if value != "" {
			p.set(name, value)
		}
	}
}

// set gives a property a value that can always be encoded: a string, or a map of such or of JSON.
func (p properties) set(name string, value any) {
	p[name], _ = json.Marshal(value)
}
