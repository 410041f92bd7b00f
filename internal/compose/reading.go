package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"imagecache.dev/internal/devcontainer"
)

// reading is a project that is being read.
type reading struct {
	configuration *devcontainer.Configuration
	lookupEnv     lookup
	mirror        *mirror
	places        *places
	guard         *guard
	// replaced is how many bytes have taken the place of variables, in all readings.
	replaced int
	// name of the project, as the reference CLI gives it to Docker Compose.
	name string
}

// committedName is the project's name in what every machine reads alike.
const committedName = "project"

// resolved reads the project with the variables of the machine, as Docker Compose does.
func (r *reading) resolved(ctx context.Context) (*types.Project, error) {
	project, err := r.load(ctx, r.machineEnvironment, "")
	if err != nil {
		return nil, err
	}
	if r.name, err = r.projectName(project.Name); err != nil {
		return nil, err
	}
	if r.name == project.Name {
		return project, nil
	}
	return r.load(ctx, r.machineEnvironment, r.name)
}

// committed reads the project without the variables of the machine: the same on every machine. It is the last reading,
// because it leaves only what decides about images in the mirror, and is nil where even that can't be read.
func (r *reading) committed(ctx context.Context) *types.Project {
	if err := r.mirror.reduce(); err != nil {
		return nil
	}
	nothing := func() types.Mapping { return types.Mapping{} }
	// The files were validated before, which takes most of the time of a load.
	project, err := r.load(ctx, nothing, committedName, loader.WithSkipValidation, func(o *loader.Options) {
		o.SkipConsistencyCheck = true
	})
	if err != nil {
		return nil
	}
	return project
}

// written reads the model with variables as they are written; nil where a path has one.
func (r *reading) written(ctx context.Context) map[string]any {
	return r.model(ctx, types.Mapping{}, func(o *loader.Options) { o.SkipInterpolation = true })
}

// interpolated reads the model with the variables of the machine, and leaves arguments without a value as they are.
func (r *reading) interpolated(ctx context.Context) map[string]any {
	variables, err := r.withFile(r.machineEnvironment())
	if err != nil {
		return nil
	}
	return r.model(ctx, variables, func(*loader.Options) {})
}

// model is nil where it can't be read.
func (r *reading) model(ctx context.Context, variables types.Mapping, option func(*loader.Options)) map[string]any {
	var model map[string]any
	err := r.retry(func() error {
		var err error
		model, err = loader.LoadModelWithContext(
			ctx, r.details(maps.Clone(variables)), r.options(committedName), option, func(o *loader.Options) {
				o.SkipValidation, o.SkipNormalization = true, true
			},
		)
		return err
	})
	if err != nil {
		return nil
	}
	return model
}

func (r *reading) load(
	ctx context.Context, environment func() types.Mapping, name string, more ...func(*loader.Options),
) (*types.Project, error) {
	var project *types.Project
	err := r.retry(func() error {
		variables, err := r.withFile(environment())
		if err != nil {
			return err
		}
		profiles := strings.FieldsFunc(variables[composeProfiles], func(c rune) bool { return c == ',' || c == ' ' })
		project, err = loader.LoadWithContext(ctx, r.details(variables), append(
			more[:len(more):len(more)], r.options(name), loader.WithProfiles(profiles), r.serviceOptions(name, variables),
		)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	setPlatforms(project)
	return project, nil
}

// serviceOptions are those of a load that results in services.
func (r *reading) serviceOptions(name string, variables types.Mapping) func(*loader.Options) {
	return func(o *loader.Options) {
		// The services' own env_file and label_file don't reach a build, and are not in the mirror.
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
		// What is in a remote file is not known.
		o.SkipConsistencyCheck = o.SkipConsistencyCheck || len(r.guard.remotes) > 0
		if name != "" {
			return
		}
		if given := variables[composeProjectName]; given != "" {
			o.SetProjectName(given, true)
		} else if !r.named() {
			o.SetProjectName(loader.NormalizeProjectName(filepath.Base(r.workingDir())), false)
		}
	}
}

// retry runs a load until the mirror has all files, or it fails for another reason.
func (r *reading) retry(load func() error) error {
	for {
		remotes := len(r.guard.remotes)
		err := recovered(load)
		if err == nil {
			return nil
		}
		if len(r.guard.remotes) > remotes {
			continue // without what needs the remote file
		}
		again, err := r.mirror.takeMissing(err)
		if err != nil {
			return err
		}
		if !again {
			return errors.New("read Compose files: a file is not read")
		}
	}
}

// recovered turns a panic into an error: compose-go asserts types that it validated, and not everything is validated.
func recovered(load func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a value is of a wrong type: %v", reason)
		}
	}()
	return load()
}

func (r *reading) options(name string) func(*loader.Options) {
	return func(o *loader.Options) {
		o.ResourceLoaders = append(o.ResourceLoaders, r.guard)
		o.Interpolate.Substitute = r.substitute(name == committedName)
		if name != "" {
			o.SetProjectName(name, true)
		}
	}
}

// substitute replaces variables as Docker Compose does, and logs nothing. Where lenient, a variable that has to be set
// stays as it is written.
func (r *reading) substitute(lenient bool) func(string, template.Mapping) (string, error) {
	return func(text string, mapping template.Mapping) (string, error) {
		counted := func(name string) (string, bool) {
			value, found := mapping(name)
			if r.replaced += len(value); r.replaced > maxReplacedBytes {
				return "", found
			}
			return value, found
		}
		replaced, err := template.SubstituteWithOptions(text, counted, template.WithoutLogging)
		if r.replaced > maxReplacedBytes {
			return "", errReplacedTooLarge
		}
		var required *template.MissingRequiredError
		if lenient && errors.As(err, &required) {
			return text, nil
		}
		return replaced, err
	}
}

func (r *reading) details(environment types.Mapping) types.ConfigDetails {
	details := types.ConfigDetails{WorkingDir: r.workingDir(), Environment: environment}
	for i := range r.places.files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{
			Filename: r.mirror.path(r.places.files[i]), Content: r.mirror.contents(r.places.files[i]),
		})
	}
	return details
}

func (r *reading) workingDir() string { return r.mirror.path(path.Dir(r.places.files[0])) }

// projectNameLine is how the reference CLI reads COMPOSE_PROJECT_NAME in the workspace's .env file.
var projectNameLine = regexp.MustCompile(`(?m)^COMPOSE_PROJECT_NAME=(.+)$`)

// projectName is the name that the reference CLI gives to the project, of the one that Docker Compose would give.
func (r *reading) projectName(name string) (string, error) {
	if _, set := r.lookupEnv(composeProjectName); set {
		return name, nil
	}
	contents, err := workspaceEnv(r.mirror.root)
	if err != nil {
		return "", err
	}
	if match := projectNameLine.FindSubmatch(contents); match != nil {
		return loader.NormalizeProjectName(strings.TrimSpace(string(match[1]))), nil
	}
	folder := path.Dir(r.places.files[0])
	if name == "devcontainer" && folder == ".devcontainer" && !r.named() {
		return loader.NormalizeProjectName(filepath.Base(r.configuration.Workspace) + "_devcontainer"), nil
	}
	return name, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// describe is an error of a load, for people.
func (r *reading) describe(err error) error {
	if errors.Is(err, devcontainer.ErrOutside) || strings.HasPrefix(err.Error(), "read Compose file") {
		return err
	}
	if len(r.guard.remotes) > 0 {
		return fmt.Errorf(
			"read Compose files: %s; %s is somewhere else, and is not read", r.mirror.readable(err), r.guard.remotes[0],
		)
	}
	return fmt.Errorf("read Compose files: %s", r.mirror.readable(err))
}
