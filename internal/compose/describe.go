package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// description says from what one service is built.
type description struct {
	*reading
	service      types.ServiceConfig
	devContainer bool
	warnings     []hash.Warning
}

func (d *description) describe(models models) (*Service, error) {
	own := *d.configuration
	c := &own
	c.ComposeFiles, c.Service, c.RunServices = nil, "", nil
	// The paths and contents of Compose files are in the key.
	c.Variables = slices.DeleteFunc(slices.Clone(c.Variables), func(v devcontainer.Variable) bool {
		return v.Property == "dockerComposeFile"
	})
	if !d.devContainer {
		c.Features, c.Variables = nil, nil
	}
	c.Variables = append(c.Variables, d.used(d.service.Name, d.named(models))...)
	if err := d.readBuild(c); err != nil {
		return nil, err
	}
	for _, remote := range d.guard.remotes {
		d.warn(
			hash.ComposeIncludeNotCovered, "the Compose files take %s from somewhere else; copy it into the workspace", remote,
		)
	}
	same, found := models.committedService(d.service.Name)
	if !found {
		same = d.service
		d.warn(
			hash.LocalEnvInKey, "it can't be read without the variables of this machine, so their values are in the key; "+
				"give them defaults, as in ${NAME:-value}",
		)
	}
	return &Service{
		Name: d.service.Name, DevContainer: d.devContainer, Configuration: c, User: d.service.User,
		Composed: hash.Service{
			Name: d.service.Name, Files: d.mirror.files, Direct: !d.devContainer, Warnings: d.warnings,
			Resolved: d.canonical(&same), Inline: d.service.Build != nil && d.service.Build.DockerfileInline != "",
		},
	}, nil
}

func (d *description) warn(code hash.WarningCode, format string, args ...any) {
	message := "service " + d.service.Name + ": " + fmt.Sprintf(format, args...)
	d.warnings = append(d.warnings, hash.Warning{Code: code, Path: d.places.files[0], Message: message})
}

// readBuild sets what the service is built from.
func (d *description) readBuild(c *devcontainer.Configuration) error {
	build := d.service.Build
	if build == nil {
		c.Type, c.Image = devcontainer.TypeImage, d.service.Image
		return nil
	}
	d.warnOfBuild(build)
	c.Target, c.Args = build.Target, map[string]string{}
	for name, value := range build.Args {
		if value != nil {
			c.Args[name] = *value
		}
	}
	c.Options = d.options()
	if isRemoteContext(build.Context) {
		return d.readRemote(c, build)
	}
	c.Type, c.Context = devcontainer.TypeDockerfile, d.local(build.Context)
	if build.DockerfileInline != "" {
		if d.devContainer {
			return errors.New(
				"the reference CLI does not build a dockerfile_inline; write a Dockerfile, and set build.dockerfile",
			)
		}
		c.Dockerfile, c.DockerfileRaw = "dockerfile_inline of "+d.service.Name, []byte(build.DockerfileInline)
		return nil
	}
	return d.readDockerfile(c, build)
}

// readRemote leaves the Dockerfile of a remote context unknown.
func (d *description) readRemote(c *devcontainer.Configuration, build *types.BuildConfig) error {
	if d.devContainer {
		return fmt.Errorf(
			"the reference CLI does not build the remote context %s; copy its files into the workspace", build.Context,
		)
	}
	c.Type = devcontainer.TypeUnknown
	d.warn(
		hash.RemoteSourceNotCovered, "the context %s is somewhere else, so its content is not in the key", build.Context,
	)
	return nil
}

func (d *description) readDockerfile(c *devcontainer.Configuration, build *types.BuildConfig) error {
	c.Dockerfile = d.dockerfilePath(c.Context, build.Dockerfile)
	if devcontainer.Outside(c.Dockerfile) {
		return fmt.Errorf("read Dockerfile: %s is %w", c.Dockerfile, devcontainer.ErrOutside)
	}
	var err error
	c.DockerfileRaw, err = devcontainer.ReadFile(d.mirror.root, c.Dockerfile, devcontainer.MaxDockerfileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read Dockerfile: %s is not there: %w", c.Dockerfile, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	return nil
}

// options are the named contexts and the platform as options of a build's command line.
func (d *description) options() []string {
	var options []string
	contexts := d.service.Build.AdditionalContexts
	for _, name := range sortedKeys(contexts) {
		value := d.local(contexts[name])
		if service, found := strings.CutPrefix(value, types.ServicePrefix); found {
			value = hash.ServiceContext + service
		}
		options = append(options, "--build-context", name+"="+value)
	}
	platforms := []string{d.service.Platform}
	if d.service.Platform == "" {
		platforms = d.service.Build.Platforms
	}
	if len(platforms) > 0 {
		options = append(options, "--platform", strings.Join(platforms, ","))
	}
	return options
}

func (d *description) warnOfBuild(build *types.BuildConfig) {
	if len(build.Secrets) > 0 {
		d.warn(hash.BuildSecretNotCovered, "its build reads secrets, which no key covers; take build.secrets out")
	}
	if len(build.SSH) > 0 {
		d.warn(
			hash.BuildSecretNotCovered, "its build uses an SSH agent, and what it reaches no key covers; take build.ssh out",
		)
	}
	for _, name := range sortedKeys(build.AdditionalContexts) {
		if service, found := strings.CutPrefix(build.AdditionalContexts[name], types.ServicePrefix); found {
			d.warn(
				hash.ServiceContextNotCovered,
				"its build takes files from the image of the service %s, which are not in the key", service,
			)
		}
	}
}

// isRemoteContext knows what Docker Compose does not read from a folder:
// https://docs.docker.com/reference/compose-file/build/#context
func isRemoteContext(context string) bool {
	return strings.Contains(context, "://") || isRemote(context)
}

// named are the variables that stand in what decides about the service's image. Where the files can't be read as they
// are written, all variables of all files count.
func (d *description) named(models models) map[string]bool {
	named := map[string]bool{}
	service := serviceOf(models.written, d.service.Name)
	if written, _ := service["platform"].(string); written == "" || strings.Contains(written, "$") {
		maps.Copy(named, d.ofDefaultPlatform())
	}
	if service == nil {
		for _, contents := range d.contents() {
			maps.Copy(named, referencesIn(contents))
		}
		maps.Copy(named, withoutValue(serviceOf(models.interpolated, d.service.Name)))
		return named
	}
	decides := map[string]any{"platform": service["platform"], "build": service["build"]}
	if service["build"] == nil {
		decides["image"] = service["image"]
	}
	if d.countsUser() {
		decides["user"] = service["user"]
	}
	for name := range template.ExtractVariables(decides, template.DefaultPattern) {
		named[name] = true
	}
	maps.Copy(named, withoutValue(service))
	return named
}

func serviceOf(model map[string]any, name string) map[string]any {
	services, _ := model["services"].(map[string]any)
	service, _ := services[name].(map[string]any)
	return service
}

// withoutValue are the arguments of a service's build that take their values from the machine.
func withoutValue(service map[string]any) map[string]bool {
	names := map[string]bool{}
	build, _ := service["build"].(map[string]any)
	switch args := build["args"].(type) {
	case map[string]any:
		for name, value := range args {
			if value == nil {
				names[name] = true
			}
		}
	case []any:
		for _, element := range args {
			if text, ok := element.(string); ok && !strings.Contains(text, "=") {
				names[text] = true
			}
		}
	}
	return names
}

// countsUser reports whether the service's user reaches the image: Features get it.
func (d *description) countsUser() bool {
	return d.devContainer && len(d.configuration.Features) > 0
}
