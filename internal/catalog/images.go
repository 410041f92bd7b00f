// Package catalog describes a project's cache for a person. It combines the cluster's objects with the repository's
// images. It is pure.
package catalog

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

// Image is one image of a project's cache. Unknown figures are nil or zero.
type Image struct {
	Hash         string     `json:"hash"`
	Digest       string     `json:"digest"`
	Reference    string     `json:"reference,omitempty"`
	SizeBytes    *int64     `json:"sizeBytes,omitempty"`
	PushedAt     *time.Time `json:"pushedAt,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
	LastPulledAt *time.Time `json:"lastPulledAt,omitempty"`
	BuildSeconds *int64     `json:"buildSeconds,omitempty"`
	// Environment is the environment whose creation built the image.
	Environment string `json:"environment,omitempty"`
	// Service is the Docker Compose service that the image is of.
	Service string `json:"service,omitempty"`
	// Pulls are the hits of the requests that the cluster still has.
	Pulls int `json:"pulls"`
	// Archived images can't be pulled.
	Archived bool `json:"archived,omitempty"`
	// Findings are the numbers of a scan's findings by their severity, as ECR names it; nil without a scan, or where the
	// caller may not read it.
	Findings map[string]int32 `json:"findings,omitempty"`
	// Platform and Inputs are what the hash covers.
	Platform string              `json:"platform,omitempty"`
	Inputs   []publication.Input `json:"inputs,omitempty"`
}

// IsDue reports whether an image is used and soon expires: a prebuild with --due replaces it. Archived images are not
// due, as the controller counts them.
func (i *Image) IsDue(now time.Time) bool {
	var retention time.Duration
	if i.PushedAt != nil && i.ExpiresAt != nil {
		retention = i.ExpiresAt.Sub(*i.PushedAt)
	}
	return !i.Archived && publication.IsDue(timeOf(i.LastPulledAt), timeOf(i.ExpiresAt), now, retention)
}

// Stored is an image as the repository returns it.
type Stored struct {
	Digest    string
	Tags      []string
	PushedAt  time.Time
	SizeBytes int64
	Archived  bool
	// LastPulledAt is when ECR last recorded a pull; zero if it recorded none.
	LastPulledAt time.Time
	Findings     map[string]int32
	// Origin is what the image was built from, if it could be read.
	Origin publication.Origin
}

// Images returns the images of a project, newest first: the repository's images, with what the requests add about
// them. If the repository could not be read, stored is nil, not empty, and the result holds the images of the
// requests.
func Images(requests []v1alpha1.DevcontainerImage, stored []Stored, retention time.Duration) []Image {
	remembered := remember(requests)
	images := make([]Image, 0, max(len(stored), len(remembered)))
	if stored == nil {
		for _, image := range remembered {
			images = append(images, *image)
		}
	}
	for _, found := range stored {
		for _, hash := range found.Tags {
			image := imageOf(found, hash, retention)
			if known := remembered[found.Digest]; known != nil {
				image.addRemembered(known)
			}
			images = append(images, image)
		}
	}
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(timeOf(b.PushedAt).Compare(timeOf(a.PushedAt)), cmp.Compare(a.Hash, b.Hash))
	})
	return images
}

func imageOf(found Stored, hash string, retention time.Duration) Image {
	expires := found.PushedAt.Add(retention)
	image := Image{
		Hash: hash, Digest: found.Digest, SizeBytes: &found.SizeBytes, PushedAt: &found.PushedAt, ExpiresAt: &expires,
		Archived: found.Archived, Environment: found.Origin.Environment, Service: found.Origin.Service,
		Platform: found.Origin.Platform, Inputs: found.Origin.Inputs, Findings: found.Findings,
	}
	if !found.LastPulledAt.IsZero() {
		image.LastPulledAt = &found.LastPulledAt
	}
	if seconds := found.Origin.BuildSeconds; seconds > 0 {
		image.BuildSeconds = &seconds
	}
	return image
}

func (i *Image) addRemembered(known *Image) {
	i.Reference = known.Reference
	i.Environment = cmp.Or(i.Environment, known.Environment)
	i.Service = cmp.Or(i.Service, known.Service)
	i.BuildSeconds = cmp.Or(i.BuildSeconds, known.BuildSeconds)
	if timeOf(known.LastPulledAt).After(timeOf(i.LastPulledAt)) {
		i.LastPulledAt = known.LastPulledAt
	}
	i.Pulls = known.Pulls
	i.Platform = cmp.Or(i.Platform, known.Platform)
	if len(i.Inputs) == 0 {
		i.Inputs = known.Inputs
	}
}

// remember collects, by digest, what requests record about images.
func remember(requests []v1alpha1.DevcontainerImage) map[string]*Image {
	images := map[string]*Image{}
	for i := range requests {
		request := &requests[i]
		told := request.Status.Image
		if told == nil {
			continue
		}
		image := images[told.Digest]
		if image == nil {
			image = &Image{Hash: request.Status.ConfigHash, Digest: told.Digest, Reference: told.Reference}
			images[told.Digest] = image
		}
		image.SizeBytes = cmp.Or(image.SizeBytes, told.SizeBytes)
		image.BuildSeconds = cmp.Or(image.BuildSeconds, told.BuildSeconds)
		image.Platform, image.Service = request.Spec.Platform, request.Spec.Service
		if len(image.Inputs) == 0 {
			image.Inputs = Inputs(request.Spec.Inputs)
		}
		if told.PushedAt != nil {
			image.PushedAt = &told.PushedAt.Time
		}
		if told.ExpiresAt != nil {
			image.ExpiresAt = &told.ExpiresAt.Time
		}
		if Published(request) {
			image.Environment = request.Spec.EnvironmentID
		}
		if Pulled(request) {
			image.Pulls++
			if at := request.CreationTimestamp.Time; image.LastPulledAt == nil || at.After(*image.LastPulledAt) {
				image.LastPulledAt = &at
			}
		}
	}
	return images
}

// Inputs returns the inputs of a request.
func Inputs(told []v1alpha1.KeyInput) []publication.Input {
	var inputs []publication.Input
	for _, input := range told {
		inputs = append(inputs, publication.Input{Name: input.Name, Digest: input.Digest})
	}
	return inputs
}

// Published reports whether a request's build was published in the cache.
func Published(request *v1alpha1.DevcontainerImage) bool {
	return meta.IsStatusConditionTrue(request.Status.Conditions, v1alpha1.ConditionPublished)
}

// Pulled reports whether a request's environment pulled a cached image.
func Pulled(request *v1alpha1.DevcontainerImage) bool {
	return request.Spec.Pull != nil && request.Spec.Pull.Outcome == v1alpha1.PullSucceeded
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
