package compose

import (
	"bytes"
	"cmp"
	"maps"
	"regexp"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"

	"imagecache.dev/internal/devcontainer"
)

// lookup answers for a variable of the machine.
type lookup func(name string) (value string, found bool)

// word is whatever may be the name of a variable.
var word = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// machineEnvironment has the variables of the machine whose names are in a file of the mirror, and those that have an
// effect without standing in one.
func (r *reading) machineEnvironment() types.Mapping {
	environment := types.Mapping{}
	take := func(name string) {
		if value, found := r.lookupEnv(name); found {
			environment[name] = value
		}
	}
	take(composeProfiles)
	take(composeProjectName)
	take(defaultPlatform)
	for _, contents := range r.contents() {
		for _, name := range word.FindAll(contents, -1) {
			take(string(name))
		}
	}
	return environment
}

// contents are those of all files.
func (r *reading) contents() [][]byte {
	var contents [][]byte
	for _, file := range r.mirror.files {
		contents = append(contents, file.Raw)
	}
	for _, raw := range r.mirror.env {
		contents = append(contents, raw)
	}
	return contents
}

// withFile adds the variables of the project's file, behind those that are set.
func (r *reading) withFile(environment types.Mapping) (types.Mapping, error) {
	if _, found := r.mirror.env[r.places.env]; !found {
		return environment, nil
	}
	fromFile, err := dotenv.GetEnvFromFile(environment, []string{r.mirror.path(r.places.env)})
	if err != nil {
		return nil, err
	}
	return environment.Merge(fromFile), nil
}

// setPlatforms gives each service without a platform the default one, which Docker Compose takes from the variables of
// the project, its file's included, when it builds: github.com/docker/compose, cmd/compose/options.go.
func setPlatforms(project *types.Project) {
	for _, services := range []types.Services{project.Services, project.DisabledServices} {
		for name, service := range services {
			service.Platform = cmp.Or(service.Platform, project.Environment[defaultPlatform])
			services[name] = service
		}
	}
}

// variableReference is how a file refers to a variable.
var variableReference = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// referencesIn are the names of the variables that a file refers to.
func referencesIn(contents []byte) map[string]bool {
	names := map[string]bool{}
	for _, match := range variableReference.FindAllSubmatch(contents, -1) {
		names[string(match[1])] = true
	}
	return names
}

// ofDefaultPlatform are the names of the variables of the machine that decide about the default platform.
func (r *reading) ofDefaultPlatform() map[string]bool {
	names := map[string]bool{}
	if value, _ := r.lookupEnv(defaultPlatform); value != "" {
		names[defaultPlatform] = true
	}
	if contents := r.mirror.env[r.places.env]; bytes.Contains(contents, []byte(defaultPlatform)) {
		maps.Copy(names, referencesIn(contents))
	}
	return names
}

// used are the variables of the machine that reach a build which names some variables, by name. One that a file sets
// counts, because the machine's value wins, and so do those that the files of variables refer to.
func (r *reading) used(service string, named map[string]bool) []devcontainer.Variable {
	named = maps.Clone(named)
	if len(named) > 0 {
		for _, contents := range r.mirror.env {
			maps.Copy(named, referencesIn(contents))
		}
	}
	variables := make([]devcontainer.Variable, 0, len(named))
	for _, name := range sortedKeys(named) {
		variable := devcontainer.Variable{
			Property: "services." + service, File: r.places.files[0], Name: name, Env: true,
		}
		variable.Value, variable.Set = r.lookupEnv(name)
		if name == composeProjectName && !variable.Set {
			variable.Value, variable.Set = r.name, true
		}
		variables = append(variables, variable)
	}
	return variables
}
