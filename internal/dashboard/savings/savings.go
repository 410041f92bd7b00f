// Package savings sums up what the cache saved, by day and by project, from the requests that the cluster still has. It
// is pure.
package savings

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/dashboard/record"
)

// Day is what one day saved. Days are those of UTC.
type Day struct {
	// Start is when the day began.
	Start time.Time
	// Hits and Misses are answers to environments, and Avoided the images that were pulled and not built.
	Hits, Misses, Avoided float64
	SavedSeconds          float64
	// StoredBytes and CostUSD are known from Prometheus only; else nil.
	StoredBytes, CostUSD *float64
}

// HitRate is hits divided by hits and misses, 0 to 1; known is false if there were none.
func (d Day) HitRate() (rate float64, known bool) {
	if d.Hits+d.Misses == 0 {
		return 0, false
	}
	return d.Hits / (d.Hits + d.Misses), true
}

// Days returns the last days, the oldest first, today included. Prebuilds are no answers to an environment.
func Days(requests []*record.Request, days int, now time.Time) []Day {
	sums := Empty(days, now)
	first := sums[0].Start
	for _, request := range requests {
		if request.Created.Before(first) || request.Trigger == v1alpha1.TriggerPrebuild {
			continue
		}
		day := int(request.Created.Sub(first) / (24 * time.Hour))
		if day >= len(sums) { // the cluster's clock is ahead
			continue
		}
		switch request.Result {
		case v1alpha1.CacheHit:
			sums[day].Hits++
		case v1alpha1.CacheMiss:
			sums[day].Misses++
		}
		if request.Pulled {
			sums[day].Avoided++
		}
		sums[day].SavedSeconds += float64(request.SavedSeconds)
	}
	return sums
}

// Empty returns the last days without figures.
func Empty(days int, now time.Time) []Day {
	today := now.UTC().Truncate(24 * time.Hour)
	sums := make([]Day, days)
	for i := range sums {
		sums[i].Start = today.AddDate(0, 0, i-days+1)
	}
	return sums
}

// Total adds days up. What is stored is that of the last day that has a figure.
func Total(days []Day) Day {
	var total Day
	for _, day := range days {
		total.Hits += day.Hits
		total.Misses += day.Misses
		total.Avoided += day.Avoided
		total.SavedSeconds += day.SavedSeconds
		total.StoredBytes = cmp.Or(day.StoredBytes, total.StoredBytes)
		total.CostUSD = cmp.Or(day.CostUSD, total.CostUSD)
	}
	return total
}

// Projects describes projects with their requests since a time. Those that saved most come first.
func Projects(
	projects []*v1alpha1.ProjectImageCache, requests []*record.Request, since time.Time,
) []catalog.Project {
	type key struct{ namespace, name string }
	sums := make([]catalog.Project, len(projects))
	places := make(map[key]int, len(projects))
	for i, project := range projects {
		sums[i] = catalog.NewProject(project)
		places[key{project.Namespace, project.Name}] = i
	}
	for _, request := range requests {
		i, known := places[key{request.Namespace, request.Project}]
		if !known || request.Created.Before(since) || request.Trigger == v1alpha1.TriggerPrebuild {
			continue
		}
		sums[i].Count(request.Result, request.SavedSeconds)
	}
	slices.SortStableFunc(sums, func(a, b catalog.Project) int {
		return cmp.Or(cmp.Compare(b.SavedSeconds, a.SavedSeconds), cmp.Compare(b.Requests, a.Requests))
	})
	return sums
}

// Stored adds up what projects store: an upper bound, because images share layers.
func Stored(projects []*v1alpha1.ProjectImageCache) (images, sizeBytes int64, costUSD float64) {
	for _, project := range projects {
		found := project.Status.Images
		if found == nil {
			continue
		}
		if found.Count != nil {
			images += *found.Count
		}
		if found.SizeBytes != nil {
			sizeBytes += *found.SizeBytes
		}
		cost, err := strconv.ParseFloat(found.EstimatedMonthlyCostUSD, 64)
		if err == nil {
			costUSD += cost
		}
	}
	return images, sizeBytes, costUSD
}
