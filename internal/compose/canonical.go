package compose

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"imagecache.dev/internal/devcontainer"
)

// resolvedService is what decides about a service's image in the resolved project. It goes into keys as JSON without
// spaces, members sorted by name, empty ones left out. So the fields stand in the order of their names. They never
// change within a version of the hash.
type resolvedService struct {
	Build    *resolvedBuild `json:"build,omitempty"`
	Image    string         `json:"image,omitempty"`
	Platform string         `json:"platform,omitempty"`
	User     string         `json:"user,omitempty"`
}

// resolvedBuild leaves out what says how, and not what, is built: cache_from, cache_to, no_cache, no_cache_filter,
// provenance, pull, sbom, tags.
type resolvedBuild struct {
	AdditionalContexts map[string]string         `json:"additional_contexts,omitempty"`
	Args               map[string]string         `json:"args,omitempty"`
	Context            string                    `json:"context,omitempty"`
	Dockerfile         string                    `json:"dockerfile,omitempty"`
	DockerfileInline   string                    `json:"dockerfile_inline,omitempty"`
	Entitlements       []string                  `json:"entitlements,omitempty"`
	ExtraHosts         map[string][]string       `json:"extra_hosts,omitempty"`
	Isolation          string                    `json:"isolation,omitempty"`
	Labels             map[string]string         `json:"labels,omitempty"`
	Network            string                    `json:"network,omitempty"`
	Platforms          []string                  `json:"platforms,omitempty"`
	Privileged         bool                      `json:"privileged,omitempty"`
	Secrets            []string                  `json:"secrets,omitempty"`
	ShmSize            int64                     `json:"shm_size,omitempty"`
	SSH                []string                  `json:"ssh,omitempty"`
	Target             string                    `json:"target,omitempty"`
	Ulimits            map[string]resolvedUlimit `json:"ulimits,omitempty"`
}

type resolvedUlimit struct {
	Hard   int `json:"hard,omitempty"`
	Single int `json:"single,omitempty"`
	Soft   int `json:"soft,omitempty"`
}

// canonical is the service as it goes into the key.
func (d *description) canonical(service *types.ServiceConfig) []byte {
	resolved := resolvedService{Platform: service.Platform}
	if service.Build == nil {
		resolved.Image = service.Image
	} else {
		resolved.Build = d.canonicalBuild(service.Build)
	}
	if d.countsUser() {
		resolved.User = service.User
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(resolved) // strings and numbers: https://pkg.go.dev/encoding/json#Marshal
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func (d *description) canonicalBuild(build *types.BuildConfig) *resolvedBuild {
	resolved := &resolvedBuild{
		AdditionalContexts: map[string]string{}, Args: map[string]string{}, Context: d.committedPath(build.Context),
		DockerfileInline: build.DockerfileInline, Entitlements: slices.Sorted(slices.Values(build.Entitlements)),
		ExtraHosts: build.ExtraHosts, Isolation: build.Isolation, Labels: build.Labels, Network: build.Network,
		Platforms: build.Platforms, Privileged: build.Privileged, ShmSize: int64(build.ShmSize), Target: build.Target,
		Ulimits: map[string]resolvedUlimit{},
	}
	if build.Dockerfile != "" {
		resolved.Dockerfile = d.dockerfilePath(resolved.Context, build.Dockerfile)
	}
	for name, value := range build.AdditionalContexts {
		resolved.AdditionalContexts[name] = d.committedPath(value)
	}
	for name, value := range build.Args {
		if value != nil {
			resolved.Args[name] = *value
		}
	}
	for _, secret := range build.Secrets {
		resolved.Secrets = append(resolved.Secrets, secret.Source)
	}
	for _, key := range build.SSH {
		resolved.SSH = append(resolved.SSH, key.ID)
	}
	for name, limit := range build.Ulimits {
		resolved.Ulimits[name] = resolvedUlimit{Hard: limit.Hard, Single: limit.Single, Soft: limit.Soft}
	}
	return resolved
}

// committedPath is a path as every machine reads it: from the workspace; or from "~" in the home folder, as which
// compose-go takes "~" itself.
func (d *description) committedPath(name string) string {
	local := d.local(name)
	home, err := os.UserHomeDir()
	if err != nil || !path.IsAbs(local) {
		return local
	}
	relative, err := filepath.Rel(home, local)
	if relative = filepath.ToSlash(relative); err != nil || devcontainer.Outside(relative) {
		return local
	}
	return path.Join("~", relative)
}

// dockerfilePath is a Dockerfile's path from the workspace. It is as it is written in a remote context.
func (d *description) dockerfilePath(context, dockerfile string) string {
	switch {
	case path.IsAbs(dockerfile):
		return d.local(dockerfile)
	case isRemoteContext(context):
		return dockerfile
	}
	return path.Join(context, dockerfile)
}
