package ecr

import (
	"slices"

	"imagecache.dev/test/awsemulator/internal/caller"
)

type imageFilter struct {
	TagStatus   string `json:"tagStatus"`
	ImageStatus string `json:"imageStatus"`
}

func (f *imageFilter) check() error {
	if f == nil {
		return nil
	}
	if !slices.Contains([]string{"", "TAGGED", "UNTAGGED", "ANY"}, f.TagStatus) {
		return invalid("Invalid parameter at 'tagStatus' failed to satisfy constraint: 'must be one of TAGGED, UNTAGGED, ANY'")
	}
	if !slices.Contains([]string{"", "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"}, f.ImageStatus) {
		return invalid("Invalid parameter at 'imageStatus' failed to satisfy constraint: 'must be one of ACTIVE, ARCHIVED, ACTIVATING, ANY'")
	}
	return nil
}

// takes reports whether the filter lets an image through: without one, or without its status, only active images.
func (f *imageFilter) takes(img *image) bool {
	status, tags := "ACTIVE", "ANY"
	if f != nil && f.ImageStatus != "" {
		status = f.ImageStatus
	}
	if f != nil && f.TagStatus != "" {
		tags = f.TagStatus
	}
	return (status == "ANY" || status == img.status()) && (tags == "ANY" || (tags == "TAGGED") == (len(img.tags) > 0))
}

func (i *image) status() string {
	if i.archived.IsZero() {
		return "ACTIVE"
	}
	return "ARCHIVED"
}

type describeImagesIn struct {
	RegistryID     string       `json:"registryId"`
	RepositoryName string       `json:"repositoryName"`
	ImageIDs       []imageID    `json:"imageIds"`
	NextToken      string       `json:"nextToken"`
	MaxResults     *int         `json:"maxResults"`
	Filter         *imageFilter `json:"filter"`
}

type imageDetail struct {
	RegistryID        string   `json:"registryId"`
	RepositoryName    string   `json:"repositoryName"`
	Digest            string   `json:"imageDigest"`
	Tags              []string `json:"imageTags,omitempty"`
	Size              int64    `json:"imageSizeInBytes"`
	PushedAt          *epoch   `json:"imagePushedAt"`
	MediaType         string   `json:"imageManifestMediaType"`
	ArtifactMediaType string   `json:"artifactMediaType,omitempty"`
	LastPull          *epoch   `json:"lastRecordedPullTime,omitempty"`
	Subject           string   `json:"subjectManifestDigest,omitempty"`
	Status            string   `json:"imageStatus"`

	ScanStatus  *scanStatus  `json:"imageScanStatus,omitempty"`
	ScanSummary *scanSummary `json:"imageScanFindingsSummary,omitempty"`

	LastArchived  *epoch `json:"lastArchivedAt,omitempty"`
	LastActivated *epoch `json:"lastActivatedAt,omitempty"`
}

type describeImagesOut struct {
	Details   []imageDetail `json:"imageDetails"`
	NextToken string        `json:"nextToken,omitempty"`
}

func (r *Registry) detail(p *repository, img *image) imageDetail {
	out := imageDetail{
		RegistryID: r.settings.Account, RepositoryName: p.name, Digest: img.digest, Tags: img.tags, Size: img.size, PushedAt: epochOf(img.pushed),
		MediaType: img.mediaType, ArtifactMediaType: img.artifactType, LastPull: epochOf(img.pulled), Subject: img.subject, Status: img.status(),
		LastArchived: epochOf(img.archived), LastActivated: epochOf(img.activated), ScanSummary: img.scanSummary(),
	}
	if out.ScanSummary != nil {
		out.ScanStatus = scanComplete
	}
	return out
}

// describeImages fails as a whole if one of the images asked for is not there.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
func (r *Registry) describeImages(c *caller.Caller, in *describeImagesIn) (*describeImagesOut, error) {
	size, err := pageSize(in.MaxResults, in.NextToken, len(in.ImageIDs) > 0, "imageIds")
	if err != nil {
		return nil, err
	}
	if len(in.ImageIDs) > 0 {
		if err := checkIDs(len(in.ImageIDs)); err != nil {
			return nil, err
		}
	}
	if err := in.Filter.check(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "DescribeImages", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &describeImagesOut{Details: []imageDetail{}}
	if len(in.ImageIDs) > 0 {
		seen := map[string]bool{}
		for _, id := range in.ImageIDs {
			img, code, reason := p.find(id)
			switch {
			case code == "ImageNotFound" || code == "ImageTagDoesNotMatchDigest" || (img != nil && !r.visible(c.Now, img.pushed)):
				return nil, imageNotFound(id.String(), p.name, r.settings.Account)
			case code != "":
				return nil, invalid("%s", reason)
			}
			// A named image is reported with any status, unless the filter names one.
			named := in.Filter
			if named == nil || named.ImageStatus == "" {
				any := imageFilter{ImageStatus: "ANY"}
				if named != nil {
					any.TagStatus = named.TagStatus
				}
				named = &any
			}
			if !seen[img.digest] && named.takes(img) {
				seen[img.digest] = true
				out.Details = append(out.Details, r.detail(p, img))
			}
		}
		return out, nil
	}
	part, next, err := cut(r, c.Now, p, in.Filter, in.NextToken, size, func(i *image) []*image { return []*image{i} }, func(i *image) string { return i.digest })
	if err != nil {
		return nil, err
	}
	for _, img := range part {
		out.Details = append(out.Details, r.detail(p, img))
	}
	out.NextToken = next
	return out, nil
}

type listImagesIn struct {
	RegistryID     string       `json:"registryId"`
	RepositoryName string       `json:"repositoryName"`
	NextToken      string       `json:"nextToken"`
	MaxResults     *int         `json:"maxResults"`
	Filter         *imageFilter `json:"filter"`
}

type listImagesOut struct {
	ImageIDs  []imageID `json:"imageIds"`
	NextToken string    `json:"nextToken,omitempty"`
}

func (r *Registry) listImages(c *caller.Caller, in *listImagesIn) (*listImagesOut, error) {
	size, err := pageSize(in.MaxResults, in.NextToken, false, "")
	if err != nil {
		return nil, err
	}
	if err := in.Filter.check(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "ListImages", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	part, next, err := cut(r, c.Now, p, in.Filter, in.NextToken, size, (*image).ids, func(id imageID) string { return id.Digest + " " + id.Tag })
	if err != nil {
		return nil, err
	}
	return &listImagesOut{part, next}, nil
}

// ids are the names of an image: one for each tag, or one without.
func (i *image) ids() []imageID {
	if len(i.tags) == 0 {
		return []imageID{{Digest: i.digest}}
	}
	ids := make([]imageID, 0, len(i.tags))
	for _, t := range i.tags {
		ids = append(ids, imageID{i.digest, t})
	}
	return ids
}
