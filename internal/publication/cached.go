package publication

import (
	"bytes"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
)

// ExpiryMargin is how long before its expiry an image is no longer handed out, so that no image disappears between
// the answer and the pull.
const ExpiryMargin = time.Hour

// Cached is an image as the repository returns it for a hash.
type Cached struct {
	Digest   string
	Manifest []byte
	Config   []byte
	PushedAt time.Time
	Archived bool
}

// Policy is what a project requires of its images.
type Policy struct {
	Retention              time.Duration
	InvalidatePushedBefore time.Time // zero means never
}

// Unusable is why a cached image can't be used. It is empty if the image can be used.
type Unusable string

// Reasons why a cached image can't be used.
const (
	Usable           Unusable = ""
	Expired          Unusable = "Expired"
	Invalidated      Unusable = "Invalidated"
	PlatformMismatch Unusable = "PlatformMismatch"
	NotVerified      Unusable = "NotVerified"
	Archived         Unusable = "Archived"
)

// Judge returns whether a cached image may be used for a hash and platform at a time, and what is known about it. The
// labels of an image are claims of the party that made it; the signature of a known key decides.
func Judge(
	image Cached, want Expectation, policy Policy, keys *provenance.Verifier, now time.Time,
) (Unusable, About) {
	if image.Archived {
		return Archived, About{} // ECR returns neither its manifest nor its configuration
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(image.Config))
	if err != nil {
		return NotVerified, About{}
	}
	about := aboutOf(config)
	switch {
	case about.Hash != want.Hash || about.version != strconv.Itoa(want.HashVersion) || about.UID == "":
		return NotVerified, about
	case CheckPlatform(config, want.Platform) != nil:
		return PlatformMismatch, about
	}
	// The request's UID is in the configuration, whose digest the statement names too.
	signed, err := keys.Verify(image.Manifest, image.Digest, ClaimsFor(want, about.UID))
	if err != nil {
		about.Problem = err
		return NotVerified, about
	}
	about.PublishedAt = PublishedAt(image.PushedAt, signed.Brief)
	if unusable := policy.Judge(about.PublishedAt, now); unusable != Usable {
		return unusable, about
	}
	// What is wrong with an invalidated image may be in a layer that this one took over.
	if since := signed.Brief.LayersSince; !since.IsZero() && since.Before(policy.InvalidatePushedBefore) {
		return Invalidated, about
	}
	return Usable, about
}

// Judge returns whether the age of an image that was published at a time allows its use.
func (p Policy) Judge(published, now time.Time) Unusable {
	switch {
	case !now.Before(published.Add(p.Retention - ExpiryMargin)):
		return Expired
	case published.Before(p.InvalidatePushedBefore):
		return Invalidated
	}
	return Usable
}

// PutWithin is how long after its signature an image reaches ECR at most. It takes seconds: each attempt to put an
// image signs it anew.
const PutWithin = 5 * time.Minute

// PublishedAt returns when a signed image was published: when ECR received it or, if that was long after the controller
// signed it, when it was signed. Who configures replication can bring an image back that was removed, and ECR then says
// that it is new.
func PublishedAt(pushed time.Time, record *provenance.Record) time.Time {
	if signed := record.FinishedAt; !signed.IsZero() && pushed.After(signed.Add(PutWithin)) {
		return signed
	}
	return pushed
}

// About is what the labels of a published image tell about it.
type About struct {
	Hash        string
	UID         string
	Environment string
	// Service is the Docker Compose service that the image is of. Only an origin tells it, no label.
	Service      string
	BuildSeconds int64
	// PublishedAt is when an image whose signature counts was published, by AWS' clock.
	PublishedAt time.Time
	// Problem is why the image's signature does not count, if it is that.
	Problem error

	version string
}

func aboutOf(config *v1.ConfigFile) About {
	labels := config.Config.Labels
	seconds, err := strconv.ParseInt(labels[imagelabel.BuildSeconds], 10, 64)
	if err != nil || seconds < 0 {
		seconds = 0
	}
	return About{
		Hash:         labels[imagelabel.Hash],
		UID:          labels[imagelabel.UID],
		Environment:  labels[imagelabel.Environment],
		BuildSeconds: seconds,
		version:      labels[imagelabel.Version],
	}
}
