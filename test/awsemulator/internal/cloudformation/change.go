package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

// change is one pass that makes a stack what a request says.
type change struct {
	service          *Service
	work             *work
	stack            *stack
	request          *request
	scope            *scope
	made             map[string]*resource
	created, updated []string // logical IDs, in order
	failed           *resource
}

func (s *Service) newChange(c *caller.Caller, st *stack, q *request) *change {
	return &change{
		service: s, work: &work{service: s, caller: c, stack: st, tags: q.tags, hadTags: st.tags},
		stack: st, request: q, scope: s.scope(st.id, st.name, q), made: map[string]*resource{},
	}
}

// apply makes resources and outputs. On an error the stack is half changed: rollBack or keep it.
func (ch *change) apply() error {
	for _, id := range ch.request.order {
		if err := ch.resource(id); err != nil {
			return err
		}
		ch.scope.resources[id] = ch.made[id]
	}
	outputs, err := ch.request.outputs(ch.scope)
	if err != nil {
		return err
	}
	if err := ch.service.mayExport(ch.stack, outputs); err != nil {
		return err
	}
	ch.stack.outputs, ch.stack.imports = outputs, ch.scope.imports
	return nil
}

// evaluated is a resource as the template describes it, not yet made.
func (s *scope) evaluated(id string) (*resource, error) {
	t := s.template.resources[id]
	properties, err := s.eval(t.properties)
	if err != nil {
		return nil, err
	}
	r := &resource{logicalID: id, kind: t.kind, metadata: t.metadata, retain: t.retain, retainReplace: t.retainReplace}
	r.properties, _ = properties.(map[string]any)
	return r, nil
}

func (ch *change) resource(id string) error {
	r, err := ch.scope.evaluated(id)
	if err != nil {
		return err
	}
	old := ch.stack.resources[id]
	if old == nil || old.status == "CREATE_FAILED" {
		return ch.create(r, "CREATE", "")
	}
	k := kinds[r.kind]
	d := compare(old, r, ch.work.hadTags, ch.work.tags)
	switch {
	case d.none():
		old.retain, old.retainReplace = r.retain, r.retainReplace
		ch.made[id] = old
		return nil
	case !d.replaces(k):
		return ch.update(old, r)
	case k.name != "" && r.text(k.name) != "" && r.text(k.name) == old.text(k.name):
		r.physicalID = old.physicalID
		return ch.fail(r, "UPDATE", fmt.Errorf("CloudFormation cannot update a stack when a custom-named resource requires replacing. "+
			"Rename %s and update the stack again.", r.text(k.name)))
	}
	return ch.create(r, "UPDATE", "Requested update requires the creation of a new physical resource; hence creating one.")
}

// create makes a new resource: verb is UPDATE where it replaces one.
func (ch *change) create(r *resource, verb, reason string) error {
	now := ch.work.caller.Now
	ch.stack.note(now, r, verb+"_IN_PROGRESS", reason)
	if err := kinds[r.kind].create(ch.work, r); err != nil {
		if r.physicalID != "" {
			_ = kinds[r.kind].remove(ch.work, r) // half made: its role exists, one of its policies was refused
			r.physicalID = ""
		}
		return ch.fail(r, verb, handlerMessage(err))
	}
	ch.stack.note(now, r, verb+"_IN_PROGRESS", "Resource creation Initiated")
	ch.stack.note(now, r, verb+"_COMPLETE", "")
	ch.made[r.logicalID] = r
	ch.created = append(ch.created, r.logicalID)
	return nil
}

func (ch *change) update(old, r *resource) error {
	r.physicalID, r.attributes = old.physicalID, maps.Clone(old.attributes)
	ch.stack.note(ch.work.caller.Now, r, "UPDATE_IN_PROGRESS", "")
	ch.updated = append(ch.updated, r.logicalID)
	ch.made[r.logicalID] = r
	if err := kinds[r.kind].update(ch.work, old, r); err != nil {
		return ch.fail(r, "UPDATE", handlerMessage(err))
	}
	ch.stack.note(ch.work.caller.Now, r, "UPDATE_COMPLETE", "")
	return nil
}

func (ch *change) fail(r *resource, verb string, err error) error {
	ch.stack.note(ch.work.caller.Now, r, verb+"_FAILED", err.Error())
	ch.failed = r
	word := map[string]string{"CREATE": "create", "UPDATE": "update"}[verb]
	return fmt.Errorf("The following resource(s) failed to %s: [%s].", word, r.logicalID)
}

// handlerMessage is the reason of a failed resource, as CloudFormation's resource handlers report errors of other services.
func handlerMessage(err error) error {
	e := apierror.As(err)
	code := "GeneralServiceException"
	switch {
	case strings.Contains(e.Code, "AlreadyExists"):
		code = "AlreadyExists"
	case strings.HasPrefix(e.Code, "AccessDenied"):
		code = "AccessDenied"
	case gone(err):
		code = "NotFound"
	case e.HTTPStatus() < 500:
		code = "InvalidRequest"
	}
	return fmt.Errorf("Resource handler returned message: %q (RequestToken: %s, HandlerErrorCode: %s)", e.Message, newUUID(), code)
}

// accept makes the change the stack's state.
func (ch *change) accept() {
	st, q := ch.stack, ch.request
	st.template, st.text, st.parameters, st.tags, st.capabilities = q.template, q.text, q.parameters, q.tags, q.capabilities
	st.resources, st.order = ch.made, slices.Clone(q.order)
}

// keep makes what was done before a failure the stack's state: no rollback is wanted.
func (ch *change) keep() {
	before, order := ch.stack.resources, ch.stack.order
	ch.accept()
	if failed := ch.failed; failed != nil {
		// It is not what the template says: the next update has to change it again.
		if old := before[failed.logicalID]; old != nil && failed.status == "UPDATE_FAILED" {
			old.status, old.changed = failed.status, failed.changed
			ch.made[failed.logicalID] = old
		} else {
			ch.made[failed.logicalID] = failed
		}
	}
	for id, r := range before {
		if ch.made[id] == nil {
			ch.made[id] = r
		}
	}
	for _, id := range order {
		if !slices.Contains(ch.stack.order, id) {
			ch.stack.order = append(ch.stack.order, id)
		}
	}
	ch.stack.order = slices.DeleteFunc(ch.stack.order, func(id string) bool { return ch.made[id] == nil })
}

// cleanUp removes what an update left behind: resources that are gone from the template, and those that were replaced. A failure
// there does not fail the update.
func (ch *change) cleanUp(before map[string]*resource, order []string) {
	for _, id := range slices.Backward(order) {
		old, now := before[id], ch.made[id]
		if now == old || (now != nil && now.physicalID == old.physicalID) {
			continue
		}
		if (now == nil && old.retain) || (now != nil && old.retainReplace) {
			ch.stack.note(ch.work.caller.Now, old, "DELETE_SKIPPED", "")
			continue
		}
		_ = ch.work.delete(old)
	}
}

// delete removes a resource, with its events.
func (w *work) delete(r *resource) error {
	now := w.caller.Now
	w.stack.note(now, r, "DELETE_IN_PROGRESS", "")
	if r.physicalID != "" {
		if err := kinds[r.kind].remove(w, r); err != nil {
			w.stack.note(now, r, "DELETE_FAILED", handlerMessage(err).Error())
			return err
		}
	}
	w.stack.note(now, r, "DELETE_COMPLETE", "")
	return nil
}

// restore takes updates back, the last first.
func (ch *change) restore() (failed []string) {
	back := *ch.work
	back.tags, back.hadTags = ch.work.hadTags, ch.work.tags
	now := ch.work.caller.Now
	for _, id := range slices.Backward(ch.updated) {
		old := ch.stack.resources[id]
		ch.stack.note(now, old, "UPDATE_IN_PROGRESS", "")
		if err := kinds[old.kind].update(&back, ch.made[id], old); err != nil {
			ch.stack.note(now, old, "UPDATE_FAILED", handlerMessage(err).Error())
			failed = append(failed, id)
			continue
		}
		ch.stack.note(now, old, "UPDATE_COMPLETE", "")
	}
	return failed
}

// discard removes what the change created, the last first.
func (ch *change) discard() (failed []string) {
	for _, id := range slices.Backward(ch.created) {
		if ch.work.delete(ch.made[id]) != nil {
			failed = append(failed, id)
		}
	}
	return failed
}
