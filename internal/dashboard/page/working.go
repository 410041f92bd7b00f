package page

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/display"
	"imagecache.dev/internal/inspect"
)

// health is one runner or project and how it is.
type health struct {
	Kind, Namespace, Name string
	// Level orders by urgency: failed, warning, ok.
	Level    string
	Summary  string
	Findings []inspect.Finding
	// Credentials tells how old the pull credentials may still get.
	Credentials string
}

// workingBody answers "Is it working?".
type workingBody struct {
	Verdict, Level  string
	Runners, Ready  int
	Projects, Fine  int
	List            excerpt[health]
	Drift           []drift
	DriftNote       string
	OldestRequest   string
	CredentialsNote string
}

// drift is a difference in AWS that the manager put right.
type drift struct {
	At   time.Time
	What string
	Note string
}

func (p *Pages) working(v *visit) error {
	scopes, err := p.scopes(v, access.Runners, access.Projects)
	if err != nil {
		return err
	}
	runners, projects := scopes[0], scopes[1]
	body := workingBody{}
	var all []health
	for _, runner := range p.Store.Runners.List() {
		if runners.Includes(runner.Namespace) {
			found := runnerHealth(runner)
			body.Runners++
			body.Ready += count(found.Level != "failed")
			all = append(all, found)
		}
	}
	expired := 0
	for _, project := range p.Store.Projects.List() {
		if projects.Includes(project.Namespace) {
			found := projectHealth(project, v.now)
			body.Projects++
			body.Fine += count(found.Level != "failed")
			expired += count(isExpired(project, v.now))
			all = append(all, found)
		}
	}
	body.Verdict, body.Level = verdict(&body)
	body.CredentialsNote = credentialsNote(expired)
	body.List = p.healthList(v, all)
	body.Drift, body.DriftNote = p.drift(v, body.List.Rows)
	p.render(v, http.StatusOK, "working", frame{Title: "Is it working?", Active: "working", Live: "objects", Body: body})
	return nil
}

func (p *Pages) healthList(v *visit, all []health) excerpt[health] {
	f := filterOf(v.URL.Query())
	shown := slices.DeleteFunc(all, func(h health) bool {
		return f.Pick == "attention" && h.Level == "ok" || !f.matches(h.Name, h.Namespace, h.Summary)
	})
	rank := map[string]int{"failed": 0, "warning": 1, "ok": 2}
	slices.SortStableFunc(shown, func(a, b health) int { return cmp.Compare(rank[a.Level], rank[b.Level]) })
	list := cut(shown, f)
	list.Placeholder, list.What = "name, namespace or reason", "runners and projects"
	list.Choices = []choice{{"", "all"}, {"attention", "that need attention"}}
	return list
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// verdict is the answer in one sentence.
func verdict(b *workingBody) (sentence, level string) {
	switch {
	case b.Runners+b.Projects == 0:
		return "There is nothing to look at yet: no runner and no project that you may see.", "warning"
	case b.Ready == b.Runners && b.Fine == b.Projects:
		return fmt.Sprintf("Yes. %s and %s work.", number(b.Runners, "runner"), number(b.Projects, "project")), "ok"
	}
	return fmt.Sprintf("Not everything: %d of %s and %d of %s work.", b.Ready, number(b.Runners, "runner"), b.Fine,
		number(b.Projects, "project")), "failed"
}

// number counts things in words, such as "1 runner" and "2 runners".
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func credentialsNote(expired int) string {
	if expired == 0 {
		return "No pull credentials have expired."
	}
	return number(expired, "project") + " with expired pull credentials: environments there build for themselves."
}

func runnerHealth(runner *v1alpha1.RunnerImageCache) health {
	h := health{Kind: "Runner", Namespace: runner.Namespace, Name: runner.Name}
	h.judge(inspect.RunnerFindings(runner), runner.Status.Conditions)
	return h
}

func projectHealth(project *v1alpha1.ProjectImageCache, now time.Time) health {
	h := health{Kind: "Project", Namespace: project.Namespace, Name: project.Name}
	if isFine(project, now) { // of ten thousand projects most are, and findings are made of many texts
		h.judge(nil, project.Status.Conditions)
	} else {
		h.judge(inspect.ProjectFindings(project, now), project.Status.Conditions)
	}
	h.Credentials = "none until an environment asks"
	if credentials := project.Status.PullCredentials; credentials != nil {
		h.Credentials = "valid for " + display.Until(&credentials.ExpiresAt.Time, now)
		if isExpired(project, now) {
			h.Credentials = "expired " + display.Age(&credentials.ExpiresAt.Time, now) + " ago"
		}
	}
	return h
}

// isFine reports whether a project has nothing that needs attention.
func isFine(project *v1alpha1.ProjectImageCache, now time.Time) bool {
	status := &project.Status
	if len(status.Conditions) == 0 || status.ObservedGeneration < project.Generation || isExpired(project, now) {
		return false
	}
	for _, condition := range status.Conditions {
		wanted := metav1.ConditionTrue
		switch condition.Type {
		case v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionImagesDue:
			wanted = metav1.ConditionFalse
		}
		if condition.Status != wanted {
			return false
		}
	}
	return true
}

func isExpired(project *v1alpha1.ProjectImageCache, now time.Time) bool {
	return project.Status.PullCredentials != nil && !project.Status.PullCredentials.ExpiresAt.After(now)
}

// judge keeps the findings that need attention.
func (h *health) judge(findings []inspect.Finding, conditions []metav1.Condition) {
	h.Level, h.Summary = "ok", "nothing to do"
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Reason != v1alpha1.ReasonSucceeded {
		h.Summary = words(ready.Reason)
	}
	for _, finding := range findings {
		switch finding.Result {
		case inspect.ResultFailed:
			h.Level = "failed"
		case inspect.ResultWarning:
			if h.Level == "ok" {
				h.Level = "warning"
			}
		default:
			continue
		}
		h.Findings = append(h.Findings, finding)
	}
}

// drift reads the differences in AWS that were put right lately, in the namespaces of the objects that are shown, all
// at once.
func (p *Pages) drift(v *visit, shown []health) (found []drift, note string) {
	const mostNamespaces, most = 5, 10
	var namespaces []string
	for _, h := range shown {
		if len(namespaces) < mostNamespaces && !slices.Contains(namespaces, h.Namespace) {
			namespaces = append(namespaces, h.Namespace)
		}
	}
	drifts, notes := make([][]drift, len(namespaces)), make([]string, len(namespaces))
	var group sync.WaitGroup
	for i, namespace := range namespaces {
		group.Go(func() { drifts[i], notes[i] = driftIn(v, namespace) })
	}
	group.Wait()
	for _, one := range notes {
		note = cmp.Or(note, one)
	}
	found = slices.Concat(drifts...)
	slices.SortFunc(found, func(a, b drift) int { return b.At.Compare(a.At) })
	return found[:min(most, len(found))], note
}

// driftIn reads those of one namespace. note tells why they can't be read.
func driftIn(v *visit, namespace string) (found []drift, note string) {
	right := access.Right{Verb: "list", Resource: access.Events, Namespace: namespace}
	if may, err := v.viewer.May(v.Context(), right); err != nil || !may {
		return nil, "You may not " + right.String() + ", which have what was put right."
	}
	events, err := v.viewer.Events().ByReason(v.Context(), namespace, v1alpha1.EventDriftCorrected)
	if err != nil {
		return nil, "The events of namespace " + namespace + " can't be read now."
	}
	for _, event := range events {
		at := event.EventTime.Time
		if event.Series != nil {
			at = event.Series.LastObservedTime.Time
		}
		found = append(found, drift{
			At: at, What: strings.Join([]string{event.Regarding.Kind, event.Regarding.Name}, " "), Note: event.Note,
		})
	}
	return found, ""
}
