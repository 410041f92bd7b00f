package page

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/record"
	"imagecache.dev/internal/dashboard/savings"
	"imagecache.dev/internal/display"
)

// savingsBody answers "What does it save?".
type savingsBody struct {
	Days int
	// Answer is the whole in one sentence.
	Answer                           string
	Saved, HitRate, Avoided, Answers string
	Images, Stored, Cost             string
	Source, Note                     string
	ByDay                            []savings.Day
	Charts                           []chart
	List                             excerpt[catalog.Project]
	Periods                          []choice
}

// chart is what a script draws: a line or bars over days.
type chart struct {
	Title  string     `json:"title"`
	Unit   string     `json:"unit"`
	Days   []int64    `json:"days"`
	Values []*float64 `json:"values"`
	Bars   bool       `json:"bars"`
}

// periods that can be chosen, in days.
var periods = []choice{{"1", "today"}, {"7", "7 days"}, {"30", "30 days"}}

func (p *Pages) savings(v *visit) error {
	projects, requests, err := p.seen(v)
	if err != nil {
		return err
	}
	body := savingsBody{Days: 7, Periods: periods}
	wanted := v.URL.Query().Get("days")
	if slices.ContainsFunc(periods, func(c choice) bool { return c.Value == wanted }) {
		_, _ = fmt.Sscan(wanted, &body.Days)
	}
	days := p.daysOf(v, &body, requests)
	body.ByDay = days
	total := savings.Total(days)
	seconds := int64(total.SavedSeconds)
	body.Saved, body.Avoided = display.Seconds(&seconds), fmt.Sprintf("%.0f", total.Avoided)
	body.Answer = savedIn(body.Days, total)
	body.HitRate, body.Answers = "none yet", fmt.Sprintf("%.0f of %.0f answers", total.Hits, total.Hits+total.Misses)
	if rate, known := total.HitRate(); known {
		body.HitRate = fmt.Sprintf("%.0f %%", 100*rate)
	}
	images, stored, cost := savings.Stored(projects)
	if total.StoredBytes != nil { // then the sums and the drawings are of one source
		stored = int64(*total.StoredBytes)
	}
	if total.CostUSD != nil {
		cost = *total.CostUSD
	}
	body.Images, body.Stored = number(int(images), "image"), display.Size(&stored)
	body.Cost = fmt.Sprintf("%.2f USD", cost)
	body.Charts = chartsOf(days)
	f := filterOf(v.URL.Query())
	sums := savings.Projects(projects, requests, days[0].Start)
	body.List = cut(slices.DeleteFunc(sums, func(c catalog.Project) bool {
		return !f.matches(c.Name, c.Namespace, c.ProjectID)
	}), f)
	body.List.Placeholder, body.List.What = "project or namespace", "projects"
	p.render(v, http.StatusOK, "savings", frame{Title: "What does it save?", Active: "savings", Body: body})
	return nil
}

// savedIn tells what some days saved.
func savedIn(days int, total savings.Day) string {
	when := fmt.Sprintf("In the last %d days", days)
	if days == 1 {
		when = "Today"
	}
	seconds := int64(total.SavedSeconds)
	switch total.Avoided {
	case 0:
		return when + ", no environment pulled an image: nothing was saved."
	case 1:
		return when + ", 1 environment pulled an image instead of building it, which saved " + display.Seconds(&seconds) +
			" of build time."
	}
	return fmt.Sprintf("%s, %.0f environments pulled an image instead of building it, which saved %s of build time.", when,
		total.Avoided, display.Seconds(&seconds))
}

// daysOf returns the days from Prometheus, and where that has none, from the requests.
func (p *Pages) daysOf(v *visit, body *savingsBody, requests []*record.Request) []savings.Day {
	body.Source = "Counted from the requests that the cluster still has"
	if len(requests) > 0 { // the newest come first
		body.Source += "; the oldest is of " + display.Age(&requests[len(requests)-1].Created, v.now) + " ago"
	}
	body.Source += ". A finished request is kept for a day unless it asks for another time. With --prometheus this page " +
		"reaches back further."
	if p.Days != nil {
		var found []savings.Day
		namespaces, err := p.namespacesFor(v)
		if err == nil {
			found, err = p.Days(v.Context(), body.Days, namespaces, v.now)
		}
		if err == nil {
			body.Source = "Counted by the manager, as Prometheus remembers it. The table of projects counts the requests that " +
				"the cluster still has."
			return found
		}
		body.Note = "Prometheus can't be used: " + err.Error() + "."
	}
	return savings.Days(requests, body.Days, v.now)
}

// namespacesFor returns the namespaces whose metrics the viewer may see, nil for all: those whose projects and requests
// it may list, because the metrics count both.
func (p *Pages) namespacesFor(v *visit) ([]string, error) {
	scopes, err := p.scopes(v, access.Projects, access.Requests)
	if err != nil {
		return nil, err
	}
	ofProjects, ofRequests := scopes[0], scopes[1]
	if p.Namespace == "" && ofProjects.IsAll() && ofRequests.IsAll() {
		return nil, nil
	}
	var names []string
	for _, namespace := range p.namespaces() {
		if ofProjects.Includes(namespace) && ofRequests.Includes(namespace) {
			names = append(names, namespace)
		}
	}
	if len(names) == 0 {
		return []string{""}, nil // selects no runner
	}
	return names, nil
}

// seen returns the projects and requests that the viewer may see.
func (p *Pages) seen(v *visit) ([]*v1alpha1.ProjectImageCache, []*record.Request, error) {
	scopes, err := p.scopes(v, access.Projects, access.Requests)
	if err != nil {
		return nil, nil, err
	}
	ofProjects, ofRequests := scopes[0], scopes[1]
	return within(p.Store.Projects.List(), ofProjects, func(c *v1alpha1.ProjectImageCache) string { return c.Namespace }),
		within(p.Store.Requests.List(), ofRequests, func(r *record.Request) string { return r.Namespace }), nil
}

// within returns the objects of a scope. The list itself is not changed.
func within[T any](list []T, scope access.Scope, namespace func(T) string) []T {
	if scope.IsAll() {
		return list
	}
	var kept []T
	for _, object := range list {
		if scope.Includes(namespace(object)) {
			kept = append(kept, object)
		}
	}
	return kept
}

func chartsOf(days []savings.Day) []chart {
	series := func(title, unit string, bars bool, value func(savings.Day) *float64) chart {
		c := chart{Title: title, Unit: unit, Bars: bars}
		for _, day := range days {
			c.Days = append(c.Days, day.Start.Unix())
			c.Values = append(c.Values, value(day))
		}
		return c
	}
	unit, length := unitFor(days)
	charts := []chart{
		series("Build time saved", unit, true, func(d savings.Day) *float64 {
			return scaled(&d.SavedSeconds, 1/length.Seconds())
		}),
		series("Hit rate", "%", false, func(d savings.Day) *float64 {
			rate, known := d.HitRate()
			if !known {
				return nil
			}
			rate *= 100
			return &rate
		}),
		series("Builds avoided", "", true, func(d savings.Day) *float64 { return &d.Avoided }),
	}
	if savings.Total(days).StoredBytes == nil {
		return charts
	}
	return append(charts,
		series("Stored", "GB", false, func(d savings.Day) *float64 { return scaled(d.StoredBytes, 1e-9) }),
		series("Cost a month", "USD", false, func(d savings.Day) *float64 { return d.CostUSD }))
}

// unitFor returns the unit of time in which the days are drawn: hours where minutes would be thousands.
func unitFor(days []savings.Day) (name string, length time.Duration) {
	for _, day := range days {
		if day.SavedSeconds >= (3 * time.Hour).Seconds() {
			return "hours", time.Hour
		}
	}
	return "minutes", time.Minute
}

func scaled(value *float64, by float64) *float64 {
	if value == nil {
		return nil
	}
	product := *value * by
	return &product
}
