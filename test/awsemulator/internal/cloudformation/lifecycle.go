package cloudformation

import (
	"fmt"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// Values of OnFailure.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
const (
	doNothing = "DO_NOTHING"
	rollBack  = "ROLLBACK"
	remove    = "DELETE"
)

// create makes the resources of a stack that has none.
func (s *Service) create(c *caller.Caller, st *stack, q *request, onFailure string) {
	st.begin(c.Now, s.settings.Delay, "CREATE_IN_PROGRESS", "User Initiated")
	ch := s.newChange(c, st, q)
	err := ch.apply()
	if err == nil {
		ch.accept()
		st.end("CREATE_COMPLETE", "")
		return
	}
	if onFailure == doNothing {
		ch.keep()
		st.end("CREATE_FAILED", err.Error()+" ")
		return
	}
	made := ch.made
	ch.made = map[string]*resource{}
	ch.accept()
	ch.made, st.order = made, nil
	what, word := "ROLLBACK", "Rollback"
	if onFailure == remove {
		what, word = "DELETE", "Delete"
	}
	st.busy = what + "_IN_PROGRESS"
	st.noteStack(c.Now, st.busy, strings.TrimSuffix(err.Error(), ".")+". "+word+" requested by user.")
	failed := ch.discard()
	for _, id := range failed {
		st.resources[id] = made[id]
		st.order = append([]string{id}, st.order...)
	}
	if len(failed) > 0 {
		st.end(what+"_FAILED", failedToDelete(failed))
		return
	}
	if onFailure == remove {
		st.deleted = c.Now
	}
	st.end(what+"_COMPLETE", "")
}

func failedToDelete(ids []string) string {
	return fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(ids, ", "))
}

// update changes the resources of a stack.
func (s *Service) update(c *caller.Caller, st *stack, q *request, noRollback bool) {
	st.updated, st.noRollback = c.Now, noRollback
	st.begin(c.Now, s.settings.Delay, "UPDATE_IN_PROGRESS", "User Initiated")
	ch := s.newChange(c, st, q)
	before, order := st.resources, st.order
	err := ch.apply()
	switch {
	case err == nil:
		ch.accept()
		st.noteStack(c.Now, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
		ch.cleanUp(before, order)
		st.end("UPDATE_COMPLETE", "")
		return
	case noRollback:
		ch.keep()
		st.end("UPDATE_FAILED", err.Error()+" ")
		return
	}
	st.busy = "UPDATE_ROLLBACK_IN_PROGRESS"
	st.noteStack(c.Now, st.busy, err.Error())
	if failed := ch.restore(); len(failed) > 0 {
		st.end("UPDATE_ROLLBACK_FAILED", fmt.Sprintf("The following resource(s) failed to update: [%s]. ", strings.Join(failed, ", ")))
		return
	}
	st.noteStack(c.Now, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
	ch.discard() // what can't be removed is left behind, as in CloudFormation's clean-up
	st.end("UPDATE_ROLLBACK_COMPLETE", "")
}

// delete removes the resources of a stack, and the stack. What can't be removed stays, with all that it needs, and the rest goes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html#troubleshooting-errors-delete-stack-fails
func (s *Service) delete(c *caller.Caller, st *stack) {
	if err := s.mayExport(st, nil); err != nil {
		st.noteStack(c.Now, st.status, err.Error())
		return
	}
	w := &work{service: s, caller: c, stack: st, tags: st.tags}
	st.begin(c.Now, s.settings.Delay, "DELETE_IN_PROGRESS", "User Initiated")
	var failed []string
	needed := map[string]bool{}
	for _, id := range slices.Backward(slices.Clone(st.order)) {
		r := st.resources[id]
		if r.retain {
			st.note(c.Now, r, "DELETE_SKIPPED", "")
		} else if needed[id] || w.delete(r) != nil {
			if !needed[id] {
				failed = append(failed, id)
			}
			for _, other := range st.template.dependencies(id, bothBranches) {
				needed[other] = true
			}
			continue
		}
		delete(st.resources, id)
		st.order = slices.DeleteFunc(st.order, func(other string) bool { return other == id })
	}
	if len(failed) > 0 {
		st.end("DELETE_FAILED", failedToDelete(failed))
		return
	}
	st.deleted = c.Now
	st.obsolete()
	st.end("DELETE_COMPLETE", "")
}
