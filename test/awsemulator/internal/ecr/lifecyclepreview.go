package ecr

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// lifecyclePreview is what a policy would have done when somebody asked.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lpp_creation.html
type lifecyclePreview struct {
	text    string
	results []previewResult // by digest
}

type previewAction struct {
	Type   string `json:"type"`
	Target string `json:"targetStorageClass,omitempty"`
}

type previewResult struct {
	Tags         []string      `json:"imageTags"`
	Digest       string        `json:"imageDigest"`
	PushedAt     *epoch        `json:"imagePushedAt"`
	Action       previewAction `json:"action"`
	Priority     int           `json:"appliedRulePriority"`
	StorageClass string        `json:"storageClass"`
}

type previewOut struct {
	RegistryID     string           `json:"registryId"`
	RepositoryName string           `json:"repositoryName"`
	Text           string           `json:"lifecyclePolicyText"`
	Status         string           `json:"status"`
	Results        *[]previewResult `json:"previewResults,omitempty"`
	Summary        *previewSummary  `json:"summary,omitempty"`
	NextToken      string           `json:"nextToken,omitempty"`
}

type transitionCount struct {
	Target string `json:"targetStorageClass"`
	Count  int    `json:"imageTotalCount"`
}

type previewSummary struct {
	Expiring      int               `json:"expiringImageTotalCount"`
	Transitioning []transitionCount `json:"transitioningImageTotalCounts,omitempty"`
}

// startLifecyclePolicyPreview evaluates a policy, by default the repository's own, and changes nothing.
func (r *Registry) startLifecyclePolicyPreview(c *caller.Caller, in *putLifecycleIn) (*previewOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "StartLifecyclePolicyPreview", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	text := in.Text
	if text == "" {
		if p.lifecycle == nil {
			return nil, noLifecycle(p.name, r.settings.Account)
		}
		text = p.lifecycle.text
	}
	rules, err := parseLifecycle(text)
	if err != nil {
		return nil, invalid("Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: %s'", err)
	}
	preview := &lifecyclePreview{text: text}
	for _, step := range p.planLifecycle(rules, c.Now) {
		result := previewResult{
			Tags: append([]string{}, step.image.tags...), Digest: step.image.digest, PushedAt: epochOf(step.image.pushed),
			Action: previewAction{Type: strings.ToUpper(step.action.Type), Target: strings.ToUpper(step.action.Target)}, Priority: step.priority, StorageClass: "STANDARD",
		}
		if !step.image.archived.IsZero() {
			result.StorageClass = "ARCHIVE"
		}
		preview.results = append(preview.results, result)
	}
	slices.SortFunc(preview.results, func(a, b previewResult) int { return strings.Compare(a.Digest, b.Digest) })
	p.preview = preview
	return &previewOut{RegistryID: r.settings.Account, RepositoryName: p.name, Text: text, Status: "IN_PROGRESS"}, nil
}

type getPreviewIn struct {
	RegistryID     string       `json:"registryId"`
	RepositoryName string       `json:"repositoryName"`
	ImageIDs       []imageID    `json:"imageIds"`
	NextToken      string       `json:"nextToken"`
	MaxResults     *int         `json:"maxResults"`
	Filter         *imageFilter `json:"filter"`
}

// selects says whether a preview's result is asked for.
func (in *getPreviewIn) selects(result previewResult) bool {
	if in.Filter != nil && in.Filter.TagStatus != "" && in.Filter.TagStatus != "ANY" && (in.Filter.TagStatus == "TAGGED") != (len(result.Tags) > 0) {
		return false
	}
	return len(in.ImageIDs) == 0 || slices.ContainsFunc(in.ImageIDs, func(id imageID) bool {
		return (id.Digest == "" || id.Digest == result.Digest) && (id.Tag == "" || slices.Contains(result.Tags, id.Tag))
	})
}

func (r *Registry) getLifecyclePolicyPreview(c *caller.Caller, in *getPreviewIn) (*previewOut, error) {
	size, err := pageSize(in.MaxResults, in.NextToken, len(in.ImageIDs) > 0, "imageIds")
	if err != nil {
		return nil, err
	}
	if err := in.Filter.check(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "GetLifecyclePolicyPreview", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if p.preview == nil {
		return nil, apierror.New("LifecyclePolicyPreviewNotFoundException",
			"Lifecycle policy preview does not exist for the repository with name '%s' in the registry with id '%s'", p.name, r.settings.Account)
	}
	chosen, summary := []previewResult{}, &previewSummary{}
	archived := 0
	for _, result := range p.preview.results {
		if result.Action.Type == "EXPIRE" {
			summary.Expiring++
		} else {
			archived++
		}
		if in.selects(result) {
			chosen = append(chosen, result)
		}
	}
	if archived > 0 {
		summary.Transitioning = []transitionCount{{"ARCHIVE", archived}}
	}
	part, next, err := page.Cut(chosen, func(x previewResult) string { return x.Digest }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	return &previewOut{r.settings.Account, p.name, p.preview.text, "COMPLETE", &part, summary, next}, nil
}
