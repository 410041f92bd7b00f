package ecr

import (
	"slices"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// Referrer is an image that names another as its subject.
type Referrer struct {
	Digest, MediaType, ArtifactType string
	Size                            int
	Annotations                     map[string]string
}

// Referrers lists the images whose subject is the digest.
func (r *Registry) Referrers(c *caller.Caller, name, digest string) ([]Referrer, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.open(c, "BatchGetImage", "", name)
	if err != nil {
		return nil, err
	}
	if !sha256Pattern.MatchString(digest) {
		return nil, registryError(400, "DIGEST_INVALID", "InvalidParameterException", "Invalid parameter at 'imageDigest': %s is not a digest", digest)
	}
	out := []Referrer{}
	r.from(c.Now, p, "", nil, func(img *image) bool {
		if img.subject == digest {
			out = append(out, Referrer{img.digest, img.mediaType, img.artifactType, len(img.manifest), img.annotations})
		}
		return true
	})
	return out, nil
}

type subjectID struct {
	Digest string `json:"imageDigest"`
}

type referrerFilter struct {
	ArtifactTypes  []string `json:"artifactTypes"`
	ArtifactStatus string   `json:"artifactStatus"`
}

// takes reports whether the filter lets a referrer through: without a status, only active ones.
func (f *referrerFilter) takes(img *image) bool {
	if f == nil {
		f = &referrerFilter{}
	}
	status := imageFilter{ImageStatus: f.ArtifactStatus}
	return status.takes(img) && (len(f.ArtifactTypes) == 0 || slices.Contains(f.ArtifactTypes, img.artifactType))
}

type listImageReferrersIn struct {
	RegistryID     string          `json:"registryId"`
	RepositoryName string          `json:"repositoryName"`
	SubjectID      subjectID       `json:"subjectId"`
	Filter         *referrerFilter `json:"filter"`
	NextToken      string          `json:"nextToken"`
	MaxResults     *int            `json:"maxResults"`
}

type referrerJSON struct {
	Digest         string            `json:"digest"`
	MediaType      string            `json:"mediaType"`
	ArtifactType   string            `json:"artifactType,omitempty"`
	Size           int64             `json:"size"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	ArtifactStatus string            `json:"artifactStatus"`
}

type listImageReferrersOut struct {
	Referrers []referrerJSON `json:"referrers"`
	NextToken string         `json:"nextToken,omitempty"`
}

// Sizes of a page of referrers.
const (
	maxReferrerPage     = 50
	defaultReferrerPage = 20
)

// listImageReferrers answers an empty list for a subject that does not exist, as the distribution protocol does.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
func (r *Registry) listImageReferrers(c *caller.Caller, in *listImageReferrersIn) (*listImageReferrersOut, error) {
	size := defaultReferrerPage
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	switch {
	case size < 1 || size > maxReferrerPage:
		return nil, invalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be between 1 and %d'", maxReferrerPage)
	case !sha256Pattern.MatchString(in.SubjectID.Digest):
		return nil, invalid("Invalid parameter at 'subjectId' failed to satisfy constraint: 'image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''")
	case in.Filter != nil && !slices.Contains([]string{"", "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"}, in.Filter.ArtifactStatus):
		return nil, invalid("Invalid parameter at 'artifactStatus' failed to satisfy constraint: 'must be one of ACTIVE, ARCHIVED, ACTIVATING, ANY'")
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "ListImageReferrers", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	found := []referrerJSON{}
	for _, img := range p.order {
		if img.gone || img.subject != in.SubjectID.Digest || !in.Filter.takes(img) || !r.visible(c.Now, img.pushed) {
			continue
		}
		found = append(found, referrerJSON{img.digest, img.mediaType, img.artifactType, int64(len(img.manifest)), img.annotations, img.status()})
	}
	part, next, err := page.Cut(found, func(x referrerJSON) string { return x.Digest }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	return &listImageReferrersOut{part, next}, nil
}

// orphan marks the referrers of an image that was removed. Referrers that were pushed before their subject are none of those.
func (p *repository) orphan(digest string) {
	for _, img := range p.images {
		if img.subject == digest {
			img.orphaned = true
		}
	}
}

// removeOrphans removes the referrers whose subject was removed, and theirs, and says how many. ECR does that within 24 hours.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
func (p *repository) removeOrphans() int {
	removed := 0
	for again := true; again; {
		again = false
		for _, img := range p.images {
			if img.orphaned && p.images[img.subject] == nil && !p.indexed(img.digest) {
				p.remove(img)
				removed, again = removed+1, true
			}
		}
	}
	return removed
}
