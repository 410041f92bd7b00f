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
// can't follow. compose-go reports everything else.
func checkFile(contents []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(contents))
	for {
		var document map[string]any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errors.New(strings.Join(strings.Fields(err.Error()), " "))
		}
		if isVersion1(document) {
			return errors.New(
				"it is of version 1, which Docker Compose no longer reads: put its services below \"services:\"",
			)
		}
		if err := checkIncludes(document["include"]); err != nil {
			return err
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

func checkIncludes(value any) error {
	includes, _ := value.([]any)
	for _, value := range includes {
		include, _ := value.(map[string]any)
		if _, found := include["project_directory"]; found {
			return errors.New("an include has project_directory, which the cache does not follow")
		}
		if err := checkEnvFiles(include["env_file"]); err != nil {
			return err
		}
	}
	return nil
}

func checkEnvFiles(value any) error {
	switch value := value.(type) {
	case string:
		if value != "/dev/null" && (path.IsAbs(value) || strings.ContainsAny(value, "$~")) {
			return fmt.Errorf("an include has the env_file %s: want a path relative to the file, without variables", value)
		}
	case []any:
		for _, element := range value {
			if err := checkEnvFiles(element); err != nil {
				return err
			}
		}
	}
	return nil
}
