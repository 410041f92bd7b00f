package compose

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds a Compose file whose aliases are written out.
const maxNodes = 100_000

var errTooManyNodes = errors.New("its aliases stand for too much")

var (
	projectParts = []string{"services", "include", "<<"}
	serviceParts = []string{"build", "image", "platform", "user", "extends", "<<"}
)

// buildParts leaves of a Compose file what decides about images. Ports, volumes and numbers are often wrong without the
// variables of the machine, and then nothing of the project could be read.
func buildParts(contents []byte) ([]byte, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(contents))
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return out.Bytes(), encoder.Close()
		case err != nil:
			return nil, err
		}
		nodes := maxNodes
		plain, err := withoutAliases(&document, &nodes)
		if err != nil {
			return nil, err
		}
		for _, project := range plain.Content {
			leave(project, projectParts, func(key string, services *yaml.Node) {
				if key == "services" {
					leave(services, nil, func(_ string, service *yaml.Node) { leave(service, serviceParts, nil) })
				}
			})
		}
		if err := encoder.Encode(plain); err != nil {
			return nil, err
		}
	}
}

// withoutAliases copies a node with what its aliases stand for. It counts nodes down to 0.
func withoutAliases(node *yaml.Node, nodes *int) (*yaml.Node, error) {
	if *nodes--; *nodes < 0 {
		return nil, errTooManyNodes
	}
	if node.Kind == yaml.AliasNode {
		return withoutAliases(node.Alias, nodes)
	}
	plain := *node
	plain.Anchor, plain.Content = "", make([]*yaml.Node, len(node.Content))
	for i, child := range node.Content {
		var err error
		if plain.Content[i], err = withoutAliases(child, nodes); err != nil {
			return nil, err
		}
	}
	return &plain, nil
}

// leave takes all members but some out of a mapping, and out of those that are merged into it, and calls each for the
// others. parts that are nil leave all.
func leave(node *yaml.Node, parts []string, each func(key string, value *yaml.Node)) {
	if node.Kind == yaml.SequenceNode { // of what is merged
		for _, element := range node.Content {
			leave(element, parts, each)
		}
		return
	}
	if node.Kind != yaml.MappingNode {
		return
	}
	var left []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case parts != nil && !slices.Contains(parts, key.Value):
			continue
		case key.Value == "<<":
			leave(value, parts, each)
		case each != nil:
			each(key.Value, value)
		}
		left = append(left, key, value)
	}
	node.Content = left
}
