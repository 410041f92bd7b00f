package ecr

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// Finding is one vulnerability that a scan finds.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanFinding.html
type Finding struct {
	Name        string             `json:"name"`
	Severity    string             `json:"severity"` // INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL or UNDEFINED
	Description string             `json:"description,omitempty"`
	URI         string             `json:"uri,omitempty"`
	Attributes  []FindingAttribute `json:"attributes,omitempty"`
}

// FindingAttribute is one detail of a finding, such as package_name.
type FindingAttribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

var severities = []string{"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNDEFINED"}

// SetScanFindings makes what scans of images find from now on, and says of how many images: of those of one repository, or of all with
// "", that have the tag or digest, or of all with "".
func (r *Registry) SetScanFindings(repository, reference string, findings []Finding) (int, error) {
	for _, f := range findings {
		if f.Name == "" || !slices.Contains(severities, f.Severity) {
			return 0, fmt.Errorf("finding %q with severity %q: a finding has a name and one of the severities %v", f.Name, f.Severity, severities)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.repos {
		if repository != "" && p.name != repository {
			continue
		}
		for _, img := range p.images {
			if reference == "" || img.digest == reference || slices.Contains(img.tags, reference) {
				img.findings = slices.Clone(findings)
				n++
			}
		}
	}
	return n, nil
}

type scanStatus struct {
	Status      string `json:"status"`
	Description string `json:"description,omitempty"`
}

var scanComplete = &scanStatus{"COMPLETE", "The scan was completed successfully."}

type scanIn struct {
	RegistryID     string  `json:"registryId"`
	RepositoryName string  `json:"repositoryName"`
	ImageID        imageID `json:"imageId"`
	NextToken      string  `json:"nextToken"`
	MaxResults     *int    `json:"maxResults"`
}

type scanSummary struct {
	Completed      *epoch         `json:"imageScanCompletedAt"`
	SourceUpdated  *epoch         `json:"vulnerabilitySourceUpdatedAt"`
	SeverityCounts map[string]int `json:"findingSeverityCounts"`
}

type scanFindings struct {
	scanSummary
	Findings []Finding `json:"findings"`
}

type scanOut struct {
	RegistryID     string        `json:"registryId"`
	RepositoryName string        `json:"repositoryName"`
	ImageID        imageID       `json:"imageId"`
	Status         *scanStatus   `json:"imageScanStatus"`
	Findings       *scanFindings `json:"imageScanFindings,omitempty"`
	NextToken      string        `json:"nextToken,omitempty"`
}

// scannable finds the image that a scan is about.
func (r *Registry) scannable(c *caller.Caller, action string, in *scanIn) (*repository, *image, error) {
	p, err := r.read(c, action, in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, nil, err
	}
	img, code, reason := p.find(in.ImageID)
	switch {
	case code == "ImageNotFound" || code == "ImageTagDoesNotMatchDigest":
		return nil, nil, imageNotFound(in.ImageID.String(), p.name, r.settings.Account)
	case code != "":
		return nil, nil, invalid("%s", reason)
	}
	return p, img, nil
}

// startImageScan scans at once. ECR scans an image once in 24 hours, the scan of its push included.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartImageScan.html
func (r *Registry) startImageScan(c *caller.Caller, in *scanIn) (*scanOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, img, err := r.scannable(c, "StartImageScan", in)
	if err != nil {
		return nil, err
	}
	switch {
	case img.mediaType == dockerList || img.mediaType == ociIndex:
		return nil, apierror.New("UnsupportedImageTypeException", "The image with imageId %s is of a type that cannot be scanned: an index", in.ImageID)
	case !img.archived.IsZero():
		return nil, apierror.New("ImageArchivedException", "The image with imageId %s is archived: restore it before it is scanned", in.ImageID)
	case !img.scanned.IsZero() && c.Now.Sub(img.scanned) < day:
		return nil, apierror.New("LimitExceededException", "The scan quota per image has been exceeded. Wait and try again.")
	}
	img.scanned = c.Now
	return &scanOut{RegistryID: r.settings.Account, RepositoryName: p.name, ImageID: imageID{img.digest, in.ImageID.Tag}, Status: &scanStatus{Status: "IN_PROGRESS"}}, nil
}

func (i *image) scanSummary() *scanSummary {
	if i.scanned.IsZero() {
		return nil
	}
	counts := map[string]int{}
	for _, f := range i.findings {
		counts[f.Severity]++
	}
	return &scanSummary{epochOf(i.scanned), epochOf(i.scanned.Truncate(24 * time.Hour)), counts}
}

// describeImageScanFindings: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
func (r *Registry) describeImageScanFindings(c *caller.Caller, in *scanIn) (*scanOut, error) {
	size, err := pageSize(in.MaxResults, in.NextToken, false, "")
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, img, err := r.scannable(c, "DescribeImageScanFindings", in)
	if err != nil {
		return nil, err
	}
	if img.scanned.IsZero() {
		return nil, apierror.New("ScanNotFoundException",
			"Image scan does not exist for the image with '%s' in the repository with name '%s' in the registry with id '%s'", in.ImageID, p.name, r.settings.Account)
	}
	type numbered struct {
		key string
		Finding
	}
	var all []numbered
	for i, f := range img.findings {
		all = append(all, numbered{fmt.Sprintf("%09d", i), f})
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.key, b.key) })
	part, next, err := page.Cut(all, func(n numbered) string { return n.key }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	found := &scanFindings{scanSummary: *img.scanSummary(), Findings: []Finding{}}
	for _, n := range part {
		found.Findings = append(found.Findings, n.Finding)
	}
	return &scanOut{r.settings.Account, p.name, imageID{img.digest, in.ImageID.Tag}, scanComplete, found, next}, nil
}
