package page

import (
	"cmp"
	"net/http"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dashboard/access"
)

// toggleBody lists the runners with their switches.
type toggleBody struct{ List excerpt[runnerSwitch] }

// runnerSwitch is one runner's switch.
type runnerSwitch struct {
	Runner *v1alpha1.RunnerImageCache
	On     bool
	// Rule tells why the switch can't be used, whoever asks: the tier's rule.
	Rule string
	Able ability
}

func (p *Pages) toggles(v *visit) error {
	scope, err := p.scope(v, access.Runners)
	if err != nil {
		return err
	}
	f := filterOf(v.URL.Query())
	var shown []runnerSwitch
	for _, runner := range p.Store.Runners.List() {
		if scope.Includes(runner.Namespace) && f.matches(runner.Name, runner.Namespace, runner.Spec.RunnerID) {
			shown = append(shown, runnerSwitch{Runner: runner})
		}
	}
	body := toggleBody{List: cut(shown, f)}
	body.List.Placeholder, body.List.What = "runner or namespace", "runners"
	for i := range body.List.Rows {
		if body.List.Rows[i], err = p.switchOf(v, body.List.Rows[i].Runner); err != nil {
			return err
		}
	}
	p.render(v, http.StatusOK, "toggle", frame{
		Title: "Turn it on and off", Active: "toggle", Live: "objects", Body: body,
	})
	return nil
}

func (p *Pages) switchOf(v *visit, runner *v1alpha1.RunnerImageCache) (runnerSwitch, error) {
	made := runnerSwitch{Runner: runner, On: runner.Spec.Cache != v1alpha1.CacheDisabled}
	if made.On {
		made.Rule = catalog.CannotSwitchOff(runner.Spec.Tier)
	}
	var err error
	made.Able, err = p.may(v, patchRunner(runner))
	return made, err
}

func patchRunner(runner *v1alpha1.RunnerImageCache) access.Right {
	return access.Right{Verb: "patch", Resource: access.Runners, Namespace: runner.Namespace, Name: runner.Name}
}

// runnerOf returns the runner that the address names, if the viewer may read it.
func (p *Pages) runnerOf(v *visit) (*v1alpha1.RunnerImageCache, error) {
	namespace, name := v.PathValue("namespace"), v.PathValue("name")
	if err := p.mayRead(v, access.Runners, namespace, name); err != nil {
		return nil, err
	}
	runner, found := p.Store.Runners.Get(namespace, name)
	if !found {
		return nil, &absentError{"no runner " + name + " exists in namespace " + namespace}
	}
	return runner, nil
}

func (p *Pages) confirmToggle(v *visit) error {
	runner, err := p.runnerOf(v)
	if err != nil {
		return err
	}
	found, err := p.switchOf(v, runner)
	if err != nil {
		return err
	}
	if found.Rule != "" {
		found.Able = ability{Lacks: found.Rule}
	}
	body := confirmBody{
		Question: "Switch the cache of runner " + runner.Name + " on?", Button: "Switch it on",
		Value: string(v1alpha1.CacheEnabled),
		Follows: []string{
			"New environments look images up again, and pull and publish.",
			"Images that are still in the repositories are hits again.",
		},
	}
	if found.On {
		body.Question, body.Button = "Switch the cache of runner "+runner.Name+" off?", "Switch it off"
		body.Value = string(v1alpha1.CacheDisabled)
		body.Follows = []string{
			"New environments build for themselves, publish nothing, and rebuilds no longer pull.",
			"Nothing is removed: cached images stay until they expire.",
			"It applies to all " + number(projectsOf(runner), "project") + " of the runner.",
		}
	}
	body.Able, body.Back = found.Able, p.Base+"toggle"
	body.Action = p.Base + "toggle/" + runner.Namespace + "/" + runner.Name
	p.render(v, http.StatusOK, "confirm", frame{Title: body.Question, Active: "toggle", Body: body})
	return nil
}

func projectsOf(runner *v1alpha1.RunnerImageCache) int {
	return int(*cmp.Or(runner.Status.Projects, new(int32)))
}

func (p *Pages) toggle(v *visit) error {
	runner, err := p.runnerOf(v)
	if err != nil {
		return err
	}
	if err := p.demand(v, patchRunner(runner)); err != nil {
		return err
	}
	mode := v1alpha1.CacheMode(v.FormValue("value"))
	switch mode {
	case v1alpha1.CacheEnabled:
	case v1alpha1.CacheDisabled:
		if rule := catalog.CannotSwitchOff(runner.Spec.Tier); rule != "" {
			return &inputError{rule}
		}
	default:
		return &inputError{"the form names neither Enabled nor Disabled"}
	}
	if err := cluster.SwitchCache(v.Context(), v.viewer.Client(), runner, mode); err != nil {
		return err
	}
	word := "enabled"
	if mode == v1alpha1.CacheDisabled {
		word = "disabled"
	}
	p.leave(v, "toggle", word)
	return nil
}
