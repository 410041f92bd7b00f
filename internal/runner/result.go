package runner

import (
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// Outcome is what an environment got.
type Outcome string

// Outcomes of Prepare and Prebuild. Those of Prepare come with an image, except OutcomeBypassed for a Compose
// configuration that is not cached.
const (
	// OutcomeHit: a cached image was pulled.
	OutcomeHit Outcome = "Hit"
	// OutcomePublished: the image was built here and published.
	OutcomePublished Outcome = "Published"
	// OutcomePublishing: the image was built here, and another process publishes it.
	OutcomePublishing Outcome = "Publishing"
	// OutcomeBuilt: the image was built here and not published.
	OutcomeBuilt Outcome = "Built"
	// OutcomeBypassed: the cache does not apply; the image was built here, unless Docker Compose is configured.
	OutcomeBypassed Outcome = "Bypassed"
	// OutcomePresent: the cache has the image, and a prebuild has nothing to do.
	OutcomePresent Outcome = "Present"
)

// Result is the result of a request. Its JSON form is what `imagecache prepare -o json` prints.
type Result struct {
	// Service is the service of Docker Compose whose image this is about; empty for a whole configuration.
	Service string  `json:"service,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Image is the image's name on this machine. It is empty if there is nothing to build.
	Image string `json:"image,omitempty"`
	// Reference is the image in the cache, repository@digest, if the cache has it.
	Reference string `json:"reference,omitempty"`
	// SignedBy is the ID of the key that signed a pulled image. It is empty if the controller signs nothing.
	SignedBy string `json:"signedBy,omitempty"`
	// ExpiresAt is when the image in the cache expires. Only prebuilds show it.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// Retention is how long the cache keeps the image; zero if that is not known. Only prebuilds know it.
	Retention time.Duration `json:"-"`
	// Reason tells why the request was not a hit, or why the image was not published.
	Reason string `json:"reason,omitempty"`

	Hash        string `json:"hash,omitempty"`
	Platform    string `json:"platform,omitempty"`
	Project     string `json:"project,omitempty"`
	Environment string `json:"environment"`
	// Request is the DevcontainerImage's name, and Namespace its namespace.
	Request   string `json:"request,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Publication names the publication in the background, for OutcomePublishing.
	Publication string `json:"publication,omitempty"`

	CacheResult v1alpha1.CacheResult `json:"cacheResult,omitempty"`
	Role        v1alpha1.Role        `json:"role,omitempty"`

	SavedSeconds int64 `json:"savedSeconds,omitempty"`
	Seconds      Times `json:"seconds"`
	// Warnings are what the build reads and the hash does not cover.
	Warnings []hash.Warning `json:"warnings,omitempty"`
	// Services are the results of a Compose configuration's services, the dev container's first. The result itself has the
	// image of the dev container, and the outcome that counts most.
	Services []*Result `json:"services,omitempty"`
	// Notices are the sentences about what the cache could not do.
	Notices []string `json:"notices,omitempty"`

	// Configuration is the configuration that was read; one that could not be read has only its place.
	Configuration *devcontainer.Configuration `json:"-"`
	// Compose is the project of a Compose configuration that is cached; nil otherwise.
	Compose *compose.Project `json:"-"`
}

// Times are how many seconds each part took.
type Times struct {
	Total   float64 `json:"total"`
	Lookup  float64 `json:"lookup,omitempty"`
	Wait    float64 `json:"wait,omitempty"`
	Pull    float64 `json:"pull,omitempty"`
	Build   float64 `json:"build,omitempty"`
	Publish float64 `json:"publish,omitempty"`
}

// seconds rounds to milliseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
