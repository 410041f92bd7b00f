package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checkFile refuses what Docker Compose does not read, and the ways in which an include can name files that the mirror
// can't follow. compose-go reports everything else. It returns the env_file of all includes, as they are written.
func checkFile(contents []byte) (envFiles []string, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(contents))
	for {
		var document map[string]any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return envFiles, nil
		case err != nil:
			return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
		}
		if isVersion1(document) {
			return nil, errors.New(
				"it is of version 1, which Docker Compose no longer reads: put its services below \"services:\"",
			)
		}
		named, err := checkIncludes(document["include"])
		if err != nil {
			return nil, err
		}
		envFiles = append(envFiles, named...)
	}
}

// isCompose reports whether a file of variables can be read as a Compose file, too. dotenv takes YAML's "name: value".
func isCompose(contents []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(contents))
	for {
		var document map[string]any
		if err := decoder.Decode(&document); err != nil {
			return false
		}
		for _, key := range []string{"services", "include"} {
			if _, found := document[key]; found {
				return true
			}
		}
	}
}

// isVersion1 knows a file of version 1 by services at its top.
func isVersion1(document map[string]any) bool {
	for _, key := range []string{"services", "include", "version", "name"} {
		if _, found := document[key]; found {
			return false
		}
	}
	for name, value := range document {
		service, _ := value.(map[string]any)
		_, image := service["image"]
		_, build := service["build"]
		if (image || build) && !strings.HasPrefix(name, "x-") {
			return true
		}
	}
	return false
}

func checkIncludes(value any) (envFiles []string, err error) {
	includes, _ := value.([]any)
	for _, value := range includes {
		include, _ := value.(map[string]any)
		if _, found := include["project_directory"]; found {
			return nil, errors.New("an include has project_directory, which the cache does not follow")
		}
		named, err := checkEnvFiles(include["env_file"])
		if err != nil {
			return nil, err
		}
		envFiles = append(envFiles, named...)
	}
	return envFiles, nil
}

func checkEnvFiles(value any) (envFiles []string, err error) {
	switch value := value.(type) {
	case string:
		switch {
		case value == "/dev/null":
			return nil, nil
		case path.IsAbs(value) || strings.ContainsAny(value, "$~"):
			return nil, fmt.Errorf(
				"an include has the env_file %s: want a path relative to the first file, without variables", value,
			)
		}
		return []string{value}, nil
	case []any:
		for _, element := range value {
			named, err := checkEnvFiles(element)
			if err != nil {
				return nil, err
			}
			envFiles = append(envFiles, named...)
		}
	}
	return envFiles, nil
}
