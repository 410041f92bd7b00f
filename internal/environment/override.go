package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/override"
	"imagecache.dev/internal/runner"
)

// Overriding is what the reference CLI reads to run the image of a result.
type Overriding struct {
	// Configuration is a devcontainer.json.
	Configuration []byte
	// Image is the dev container's.
	Image override.Image
	// ComposeFile is the path of a further Compose file, which Configuration names, and ComposeContent its content; empty
	// without Docker Compose.
	ComposeFile    string
	ComposeContent []byte
}

// errEnvFile: an override configuration can't name a file of variables, which the reference CLI names for the default
// Compose files.
var errEnvFile = errors.New("the variables of its Compose files are in another folder: name the files in dockerComposeFile")

// Override returns what the reference CLI reads to run the image of a result. extra is the absolute path of the Compose
// file that a result of Docker Compose needs.
func Override(
	ctx context.Context, engine builder.Containers, result *runner.Result, extra string,
) (*Overriding, error) {
	if result.Image == "" {
		return nil, override.ErrNotRead
	}
	config, err := engine.Config(ctx, result.Image)
	if err != nil {
		return nil, err
	}
	made := &Overriding{Image: override.Image{
		Name: result.Image, User: config.User, Metadata: config.Labels[devcontainer.MetadataLabel],
	}}
	if result.Compose == nil {
		made.Configuration, err = override.Configuration(result.Configuration, made.Image)
		return made, err
	}
	return made, made.compose(result, extra)
}

func (o *Overriding) compose(result *runner.Result, extra string) (err error) {
	if result.Compose.EnvFile != "" {
		return errEnvFile
	}
	own := result.Compose.Services[0]
	o.Image.ServiceUser = own.User
	services := make([]override.Service, 0, len(result.Services))
	for _, service := range result.Services {
		services = append(services, override.Service{Name: service.Service, Image: service.Image})
	}
	o.ComposeFile, o.ComposeContent = extra, override.ComposeImages(services)
	o.Configuration, err = override.Compose(
		result.Configuration, own.Configuration, o.Image, result.Compose.Paths(result.Configuration.Workspace), extra,
	)
	return err
}

// WriteCompose writes the Compose file, if there is one, in one step.
func (o *Overriding) WriteCompose() error {
	if o.ComposeFile == "" {
		return nil
	}
	return ReplaceFile(o.ComposeFile, o.ComposeContent)
}

// unfinishedSuffix ends the name of a file that is being written.
const unfinishedSuffix = ".tmp"

// ReplaceFile writes a file in one step.
func ReplaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*"+unfinishedSuffix)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(0o644), file.Close()) // the reference CLI may run as another user
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return nil
}
