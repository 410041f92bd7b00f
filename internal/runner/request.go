package runner

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	ocidigest "github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
)

// Request is what an environment asks for. The zero value of a duration means its default.
type Request struct {
	// Workspace is the folder, and ConfigPath the configuration in it. Empty means the usual places.
	Workspace  string
	ConfigPath string
	// Project is the name of the ProjectImageCache or the project's ID. Empty means an environment without a project.
	Project     string
	Environment string
	Trigger     v1alpha1.Trigger
	// Platform is the image's platform, such as linux/amd64. Empty means the default.
	Platform string
	// Refresh asks for a new image even if one is cached.
	Refresh bool
	// Tag is the name that the image gets on this machine, of Docker Compose that of the dev container's service. Empty
	// means a name of our own.
	Tag string
	// Wait reports whether to wait for another environment that builds the same image.
	Wait bool
	// LookupTimeout limits the wait for the cache's answer, and WaitTimeout the wait for another builder.
	LookupTimeout time.Duration
	WaitTimeout   time.Duration
	// BuildTimeout limits a build. Zero means no limit.
	BuildTimeout time.Duration
	// PublishTimeout limits the time from the end of the build to the published image. The manager ends an upload
	// earlier that does not advance.
	PublishTimeout time.Duration
	// BuildWithoutCluster allows a build here if the cluster can't be reached.
	BuildWithoutCluster bool
}

// Defaults of a Request.
const (
	DefaultLookupTimeout = 15 * time.Second
	// DefaultPublishTimeout is how long the manager grants upload rights at most.
	DefaultPublishTimeout = 6 * time.Hour
)

// triggers are all triggers of the API.
var triggers = []v1alpha1.Trigger{
	v1alpha1.TriggerEnvironmentCreated, v1alpha1.TriggerRebuild, v1alpha1.TriggerPrebuild,
}

// isPrebuild reports whether no environment waits for the image: it is built only to be published.
func (r *Request) isPrebuild() bool { return r.Trigger == v1alpha1.TriggerPrebuild }

// environmentPattern is what the API accepts as an environment's ID.
var environmentPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// UsageError is a request that can't be carried out as it was written.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// setDefaults sets the durations that are zero and need a value.
func (r *Request) setDefaults() {
	if r.LookupTimeout <= 0 {
		r.LookupTimeout = DefaultLookupTimeout
	}
	if r.PublishTimeout <= 0 {
		r.PublishTimeout = DefaultPublishTimeout
	}
}

// Validate checks what the API would reject, before anything is done.
func (r *Request) Validate() error {
	switch {
	case r.Environment == "":
		return &UsageError{"an environment is required: set --environment"}
	case len(r.Environment) > 128 || !environmentPattern.MatchString(r.Environment):
		return &UsageError{
			fmt.Sprintf(
				"environment %q must be at most 128 letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit",
				r.Environment,
			),
		}
	case !slices.Contains(triggers, r.Trigger):
		return &UsageError{
			fmt.Sprintf(
				"trigger %q is not known; use %s or %s", r.Trigger, v1alpha1.TriggerEnvironmentCreated, v1alpha1.TriggerRebuild,
			),
		}
	case r.isPrebuild() && r.Project == "":
		return &UsageError{"a prebuild needs a project: set --project"}
	}
	if err := hash.CheckPlatform(r.Platform); err != nil {
		return &UsageError{err.Error()}
	}
	return nil
}

// object returns the DevcontainerImage of a request. project is nil for an environment without a project.
func (r *Request) object(project *v1alpha1.ProjectImageCache, namespace string, s subject) *v1alpha1.DevcontainerImage {
	object := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: objectName(r.Environment, s.key.Hash)},
		Spec: v1alpha1.DevcontainerImageSpec{
			EnvironmentID:     r.Environment,
			Trigger:           r.Trigger,
			Platform:          s.key.Platform,
			ConfigurationType: v1alpha1.ConfigurationType(s.configuration.Type),
			CachePolicy:       v1alpha1.CachePolicyUseCached,
		},
	}
	if project != nil {
		object.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: project.Name}
	}
	if s.service != nil {
		object.Spec.Service = s.service.Name
	}
	if !s.isBypassed() {
		object.Spec.ConfigHash = s.key.Hash
		object.Spec.Inputs = KeyInputs(s.key.Inputs)
	}
	return object
}

// maxEnvironmentInName keeps names below the 63 characters that a label's value may have.
const maxEnvironmentInName = 40

// objectName returns a unique name for a request: the environment, the beginning of the hash, five random characters.
func objectName(environment, hash string) string {
	return fmt.Sprintf("%s-%s-%s", dnsLabel(environment, maxEnvironmentInName), hash[:8], rand.String(5))
}

// dnsLabel turns a name into the beginning of a DNS label: lowercase letters, digits and hyphens.
func dnsLabel(name string, most int) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	if len(safe) > most {
		safe = safe[:most]
	}
	if safe = strings.Trim(safe, "-"); safe == "" {
		return "environment"
	}
	return safe
}

// localName returns the image's name on this machine, unless the request sets one.
func (r *Request) localName(s subject) string {
	if r.Tag != "" && (s.service == nil || s.service.DevContainer) {
		return r.Tag
	}
	owner := r.Project
	if owner == "" {
		owner = r.Environment
	}
	tag := "uncached-" + dnsLabel(r.Environment, maxEnvironmentInName)
	if s.key.Hash != "" {
		tag = s.key.Hash[:12]
	}
	return fmt.Sprintf("imagecache.local/%s:%s", dnsLabel(owner, 110), tag)
}

// Limits that the API sets on spec.inputs.
const (
	maxKeyInputs    = 32
	maxKeyInputName = 256
)

// KeyInputs returns the inputs of a key for the API. If there are more than it accepts, KeyInputs combines those of
// one kind into one input, whose digest covers all of them.
func KeyInputs(inputs []hash.Input) []v1alpha1.KeyInput {
	told := make([]v1alpha1.KeyInput, 0, len(inputs))
	for _, input := range inputs {
		told = append(told, v1alpha1.KeyInput{Name: input.String(), Digest: input.Digest})
	}
	tooLong := func(input v1alpha1.KeyInput) bool { return len(input.Name) > maxKeyInputName }
	if len(told) <= maxKeyInputs && !slices.ContainsFunc(told, tooLong) {
		return told
	}
	return keyInputsByKind(inputs)
}

func keyInputsByKind(inputs []hash.Input) []v1alpha1.KeyInput {
	var kinds []string
	sums := map[string][]byte{}
	for _, input := range inputs {
		if _, seen := sums[input.Name]; !seen {
			kinds = append(kinds, input.Name)
		}
		sums[input.Name] = fmt.Appendf(sums[input.Name], "%q %q %s\n", input.Path, input.Mode, input.Digest)
	}
	told := make([]v1alpha1.KeyInput, 0, len(kinds))
	for _, kind := range kinds {
		told = append(told, v1alpha1.KeyInput{Name: kind, Digest: ocidigest.FromBytes(sums[kind]).String()})
	}
	return told
}

// keyCoverage reports whether a key covers what its build reads.
func keyCoverage(key *hash.Key) v1alpha1.BuildKeyCoverage {
	for _, warning := range key.Warnings {
		if warning.Code == hash.LocalEnvNotCovered {
			return v1alpha1.CoverageEnvironmentValues
		}
	}
	if key.Complete {
		return v1alpha1.CoverageComplete
	}
	return v1alpha1.CoverageIncomplete
}
