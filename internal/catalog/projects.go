package catalog

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
)

// Project describes what a project's cache saves and costs. The figures of requests count those that the cluster
// still has: a finished request is kept for a day unless its spec sets another time.
type Project struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	ProjectID string `json:"projectID"`
	Requests  int    `json:"requests"`
	Hits      int    `json:"hits"`
	Misses    int    `json:"misses"`
	Bypassed  int    `json:"bypassed"`
	// HitRate is hits divided by hits and misses, 0 to 1, or nil if there were none.
	HitRate      *float64 `json:"hitRate,omitempty"`
	SavedSeconds int64    `json:"savedSeconds"`

	Images                  *int64 `json:"images,omitempty"`
	SizeBytes               *int64 `json:"sizeBytes,omitempty"`
	EstimatedMonthlyCostUSD string `json:"estimatedMonthlyCostUSD,omitempty"`
	// Due is how many images are due.
	Due *int64 `json:"due,omitempty"`

	Ready  string `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

// Projects summarizes projects, each with its requests, in the given order.
func Projects(projects []v1alpha1.ProjectImageCache, requests []v1alpha1.DevcontainerImage) []Project {
	type key struct{ namespace, name string }
	byProject := map[key][]*v1alpha1.DevcontainerImage{}
	for i := range requests {
		if reference := requests[i].Spec.ProjectRef; reference != nil {
			k := key{requests[i].Namespace, reference.Name}
			byProject[k] = append(byProject[k], &requests[i])
		}
	}
	sums := make([]Project, 0, len(projects))
	for i := range projects {
		sums = append(sums, sumUp(&projects[i], byProject[key{projects[i].Namespace, projects[i].Name}]))
	}
	return sums
}

func sumUp(cache *v1alpha1.ProjectImageCache, requests []*v1alpha1.DevcontainerImage) Project {
	sum := NewProject(cache)
	for _, request := range requests {
		saved := request.Status.SavedSeconds
		if saved == nil || !Pulled(request) {
			saved = new(int64)
		}
		sum.Count(request.Status.CacheResult, *saved)
	}
	return sum
}

// NewProject describes a project without its requests.
func NewProject(cache *v1alpha1.ProjectImageCache) Project {
	project := Project{
		Namespace: cache.Namespace, Name: cache.Name, ProjectID: cache.Spec.ProjectID, Ready: "Unknown",
	}
	if images := cache.Status.Images; images != nil {
		project.Images, project.SizeBytes = images.Count, images.SizeBytes
		project.EstimatedMonthlyCostUSD, project.Due = images.EstimatedMonthlyCostUSD, images.DueCount
	}
	if ready := meta.FindStatusCondition(cache.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		project.Ready, project.Reason = string(ready.Status), ready.Reason
	}
	return project
}

// Count adds one request with its answer, and the seconds that its image saved.
func (p *Project) Count(result v1alpha1.CacheResult, savedSeconds int64) {
	p.Requests++
	p.SavedSeconds += savedSeconds
	switch result {
	case v1alpha1.CacheHit:
		p.Hits++
	case v1alpha1.CacheMiss:
		p.Misses++
	case v1alpha1.CacheBypassed:
		p.Bypassed++
	}
	if asked := p.Hits + p.Misses; asked > 0 {
		rate := float64(p.Hits) / float64(asked)
		p.HitRate = &rate
	}
}
