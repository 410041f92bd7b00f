package hash

import (
	"maps"
	"strings"

	"github.com/containerd/platforms"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
)

// recipe says what the build takes from outside of the two files. A
// Dockerfile that is not understood is a warning where only the two files
// count, and else an error.
func (m *maker) recipe() (*dockerfile.Recipe, error) {
	c := m.configuration
	switch c.Type {
	case devcontainer.TypeImage:
		return &dockerfile.Recipe{Images: []dockerfile.Image{{Reference: c.Image}}}, nil
	case devcontainer.TypeUnknown:
		return &dockerfile.Recipe{}, nil
	case devcontainer.TypeCompose:
		m.warn(
			Warning{Code: ComposeNotSupported, Path: c.Path},
			"each service of a Docker Compose configuration has a key of its own: this one covers %s alone", c.Path,
		)
		return &dockerfile.Recipe{}, nil
	}
	recipe, err := dockerfile.Analyze(c.DockerfileRaw, m.buildOptions())
	if err == nil {
		return recipe, nil
	}
	if m.wants(InputBuildContext) || m.wants(InputBaseImages) {
		return nil, err
	}
	m.warn(Warning{Code: DockerfileNotUnderstood, Path: c.Dockerfile}, "what the build uses is not known: %v", err)
	return &dockerfile.Recipe{}, nil
}

// ServiceContext is how the value of a named context begins that is the image of
// another service. What it brings in is one of the warnings of its Service.
const ServiceContext = "service://"

// remotes warns of what ADD fetches without a checksum.
func (m *maker) remotes(recipe *dockerfile.Recipe) {
	for _, remote := range recipe.Remotes {
		if !remote.Pinned && !strings.HasPrefix(remote.URL, ServiceContext) {
			m.warn(Warning{Code: RemoteSourceNotCovered, Path: m.configuration.Dockerfile, Line: remote.Line},
				"%s is fetched without a checksum, so its content is not in the key; add --checksum, or a Git commit", remote.URL)
		}
	}
}

// buildOptions reads build.options as the builder's command line is read:
// https://docs.docker.com/reference/cli/docker/buildx/build/#options
func (m *maker) buildOptions() dockerfile.Options {
	c := m.configuration
	o := dockerfile.Options{
		Args: map[string]string{}, ConfiguredArgs: c.Args, Target: c.Target,
		Platform: m.key.Platform, BuildPlatform: m.options.BuildPlatform, Contexts: map[string]string{},
		Direct: m.direct(),
		// The reference CLI writes a target for Docker Compose only in the place of another.
		Untargeted: m.service != nil && c.Target == "",
	}
	maps.Copy(o.Args, c.Args)
	var asked []string
	for option, value := range flags(c.Options) {
		name, rest, found := strings.Cut(value, "=")
		switch option {
		case "--build-arg":
			if !found {
				rest, found = m.given(name)
			}
			if found {
				o.Args[name] = rest
			}
		case "--build-context":
			o.Contexts[name] = rest
		case "--target":
			o.TargetOption = value
		case "--platform":
			asked = append(asked, strings.Split(value, ",")...)
		default:
			if !containedOptions[option] {
				m.warn(Warning{Code: OptionNotCovered, Path: c.Path},
					"build.options has %s, which may bring in what no key covers", option)
			}
		}
	}
	if len(asked) > 0 {
		o.Platform = onePlatform(asked)
	}
	return o
}

// given returns the value that the builder takes from its environment for
// "--build-arg NAME".
func (m *maker) given(name string) (value string, found bool) {
	for _, variable := range m.configuration.Variables {
		if variable.Property == "build.options" && variable.Env && variable.Name == name {
			return variable.Value, variable.Set
		}
	}
	return "", false
}

// containedOptions are the options of "docker build", "docker buildx build" and
// "podman build" that bring in nothing but their own text, which is in the
// devcontainer.json. What others read of the machine no key covers.
// https://docs.docker.com/reference/cli/docker/buildx/build/,
// https://docs.podman.io/en/latest/markdown/podman-build.1.html
var containedOptions = map[string]bool{
	"--add-host": true, "--annotation": true, "--attest": true, "--cache-from": true, "--cache-to": true,
	"--cache-ttl": true, "--call": true, "--cap-add": true, "--cap-drop": true, "--cgroup-parent": true, "--check": true,
	"--compress": true, "--cpu-period": true, "--cpu-quota": true, "-c": true, "--cpu-shares": true, "--cpuset-cpus": true,
	"--cpuset-mems": true, "-D": true, "--debug": true, "--disable-compression": true, "--disable-content-trust": true,
	"--dns": true, "--dns-option": true, "--dns-search": true, "--force-rm": true, "--format": true,
	"--http-proxy": true, "--iidfile": true, "--inherit-annotations": true, "--inherit-labels": true, "--isolation": true,
	"--jobs": true, "--label": true, "--layers": true, "--load": true, "--logfile": true, "-m": true, "--memory": true,
	"--memory-swap": true, "--metadata-file": true, "--network": true, "--no-cache": true, "--no-cache-filter": true,
	"--no-hostname": true, "--no-hosts": true, "--omit-history": true, "-o": true, "--output": true, "--progress": true,
	"--provenance": true, "--pull": true, "--pull-always": true, "--pull-never": true, "--push": true, "-q": true,
	"--quiet": true, "--retry": true, "--retry-delay": true, "--rewrite-timestamp": true, "--rm": true, "--sbom": true,
	"--security-opt": true, "--shm-size": true, "--skip-unused-stages": true, "--source-date-epoch": true,
	"--squash": true, "--squash-all": true, "--stdin": true, "-t": true, "--tag": true, "--timestamp": true,
	"--tls-verify": true, "--ulimit": true, "--unsetannotation": true, "--unsetenv": true, "--unsetlabel": true,
}

// onePlatform is the one platform that a command line asks for, in the form of
// DefaultPlatform; "" where it asks for several or for one that can't be read.
func onePlatform(written []string) string {
	var one string
	for _, text := range written {
		parsed, err := platforms.Parse(strings.TrimSpace(text))
		if err != nil {
			return ""
		}
		platform, err := normalizePlatform(platforms.Format(platforms.Normalize(parsed)))
		if err != nil || one != "" && one != platform {
			return ""
		}
		one = platform
	}
	return one
}

// flags yields the arguments of a command line with their values, which stand
// behind "=", in the next argument, or behind a short option's letter.
func flags(options []string) func(yield func(option, value string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(options); i++ {
			option, value, found := strings.Cut(options[i], "=")
			if !strings.HasPrefix(option, "-") {
				continue
			}
			if !strings.HasPrefix(option, "--") && len(option) > 2 { // as -fDockerfile, or -qfDockerfile
				letters := strings.TrimLeft(options[i][1:], "qD")
				if letters == "" {
					continue
				}
				option, value, found = "-"+letters[:1], letters[1:], len(letters) > 1
			}
			if !found && i+1 < len(options) && !strings.HasPrefix(options[i+1], "-") {
				i++
				value = options[i]
			}
			if !yield(option, value) {
				return
			}
		}
	}
}
