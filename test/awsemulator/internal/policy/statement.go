package policy

func (s *Statement) compile() {
	for _, a := range append(append([]string{}, s.Action...), s.NotAction...) {
		s.action = append(s.action, compilePattern(a, false, true))
	}
	for _, r := range append(append([]string{}, s.Resource...), s.NotResource...) {
		s.resource = append(s.resource, compilePattern(r, s.variables, true))
	}
}

func (s *Statement) matchesAction(action string) bool {
	for _, p := range s.action {
		if p.match(action, true) {
			return s.Action != nil
		}
	}
	return s.Action == nil
}

// matchesResource says true for a statement without resource: a trust or repository policy then means the resource that it hangs on.
func (s *Statement) matchesResource(resource string, c Context) bool {
	if s.resource == nil {
		return true
	}
	for _, p := range s.resource {
		resolved, ok := p.resolve(c)
		if ok && resolved.matchResource(resource) {
			return s.Resource != nil
		}
	}
	return s.Resource == nil
}

func (s *Statement) matchesConditions(c Context) bool {
	for i := range s.Conditions {
		if !s.Conditions[i].holds(c) {
			return false
		}
	}
	return true
}

// applies says whether the statement speaks of the request, its principal element aside.
func (s *Statement) applies(r *Request) bool {
	return s.matchesAction(r.Action) && s.matchesResource(r.Resource, r.Context) && s.matchesConditions(r.Context)
}
