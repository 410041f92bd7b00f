package runnerimagecache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/iam"
)

// roleSettles is how soon a role that can't be assumed is tried again: IAM needs some seconds to propagate a new
// role.
const roleSettles = 5 * time.Second

// lookAtRoles corrects the runner's roles if that is due, and checks that they can be assumed.
func (r *Reconciler) lookAtRoles(ctx context.Context, runner *v1alpha1.RunnerImageCache, visits *runnerVisits, facts *runnerFacts) {
	if facts.stackErr != nil && !meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionRolesReady) {
		// Nothing is created for a stack that does not exist or is too old. Existing roles are maintained.
		facts.rolesErr = outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "the controller creates the roles after the stack's problem is fixed; see TagsReady")
		return
	}
	for key := range awstag.OfStack(runner) {
		if visits.formerTags == nil {
			visits.formerTags = map[string]bool{}
		}
		visits.formerTags[key] = true
	}
	tagsChanged := facts.stack != nil && !sameTags(runner.Status.StackTags, stackTagList(facts.stack.Tags))
	if !tagsChanged && !visits.roles.due(runner.Generation, facts.now, r.Intervals.Roles) {
		facts.rolesErr = visits.roles.err
		return
	}
	facts.formerTags = visits.formerTags
	if facts.rolesErr = r.keepRoles(ctx, runner, facts); facts.rolesErr == nil {
		visits.formerTags = nil
	}
	visits.roles = visit{generation: runner.Generation, at: facts.now, err: facts.rolesErr}
}

func (r *Reconciler) keepRoles(ctx context.Context, runner *v1alpha1.RunnerImageCache, facts *runnerFacts) error {
	if runner.Spec.Roles.Type != v1alpha1.RolesProvided {
		tags := awstag.OfStack(runner)
		if facts.stack != nil {
			tags = facts.stack.Tags
		}
		taken, _ := awstag.Takeable(tags)
		owner := awstag.OwnerOf(r.ClusterUID, runner.Namespace, runner.Name)
		var failed []error
		for _, role := range desiredRoles(runner, *facts.identity, taken, owner) {
			role.Former = slices.Sorted(maps.Keys(facts.formerTags))
			failed = append(failed, r.keepRole(ctx, runner, role, owner))
		}
		if err := outcome.First(failed...); err != nil {
			return err
		}
	}
	pull, push := roleARNs(runner, *facts.identity)
	return outcome.First(r.checkRole(ctx, runner, pull), r.checkRole(ctx, runner, push))
}

// keepRole creates or corrects one role.
func (r *Reconciler) keepRole(ctx context.Context, runner *v1alpha1.RunnerImageCache, desired iam.Role, owner string) error {
	roles := iam.NewRoles(r.AWS.Clients(awstarget.AddressOf(runner)))
	seen, err := roles.Observe(ctx, desired.Name)
	if err != nil {
		return err
	}
	if err := roleClaim(desired.Name, seen, owner); err != nil {
		return err
	}
	plan := iam.PlanRole(desired, seen)
	if plan.Empty() {
		return nil
	}
	err = roles.Apply(ctx, desired, plan)
	if errors.Is(err, iam.ErrExists) {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, roleSettles, "role %s exists but is not visible yet", desired.Name)
	}
	if err != nil {
		return err
	}
	log.FromContext(ctx).Info("Wrote role", "role", desired.Name, "created", plan.Create)
	if plan.Create {
		r.Recorder.Eventf(runner, nil, corev1.EventTypeNormal, "RoleCreated", "EnsureRole", "created role %s", desired.Name)
		return nil
	}
	metric.Drift.WithLabelValues(runner.Namespace, metric.DriftRole).Inc()
	for _, found := range roleFindings(plan, seen) {
		r.Recorder.Eventf(runner, nil, corev1.EventTypeWarning, drift.EventCorrected, found.Action, "corrected role %s: %s", desired.Name, found.Text)
	}
	return nil
}

// checkRole checks that the role can be assumed by assuming it.
func (r *Reconciler) checkRole(ctx context.Context, runner *v1alpha1.RunnerImageCache, roleARN string) error {
	err := r.Granter.Check(ctx, awstarget.AddressOf(runner), roleARN)
	if aws.ClassOf(err) == aws.ClassAccessDenied {
		return outcome.Waitingf(v1alpha1.ReasonRoleNotAssumable, roleSettles, "the controller can't assume role %s: %s", roleARN, aws.Message(err))
	}
	return err
}

// removeRoles removes the roles that were created for the runner, and no others.
func (r *Reconciler) removeRoles(ctx context.Context, runner *v1alpha1.RunnerImageCache) error {
	clients := r.AWS.Clients(awstarget.AddressOf(runner))
	identity, err := clients.Identity(ctx)
	if err == nil {
		err = accountProblem(runner, identity)
	}
	if err != nil && runner.Status.AccountID == "" {
		// The account was never reached, so nothing was created in it.
		return nil
	}
	if err != nil {
		return err
	}
	roles, owner := iam.NewRoles(clients), awstag.OwnerOf(r.ClusterUID, runner.Namespace, runner.Name)
	for _, role := range desiredRoles(runner, identity, nil, owner) {
		seen, err := roles.Observe(ctx, role.Name)
		if err != nil {
			return err
		}
		if seen == nil || roleClaim(role.Name, seen, owner) != nil {
			continue
		}
		err = roles.Delete(ctx, role.Name)
		var inUse *iam.InUseError
		if errors.As(err, &inUse) {
			// What others attached is theirs. The role has no right of the cache any more, and nothing waits for it.
			log.FromContext(ctx).Info("Left role", "role", role.Name, "reason", inUse.Error())
			r.Recorder.Eventf(runner, nil, corev1.EventTypeWarning, "RoleLeft", "Delete",
				"%s; the cache's own policy is removed; detach the rest and delete the role, if nobody needs it", inUse.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("remove the runner's roles: %w", err)
		}
		log.FromContext(ctx).Info("Deleted role", "role", role.Name)
		r.Recorder.Eventf(runner, nil, corev1.EventTypeNormal, "RoleRemoved", "Delete", "deleted role %s", role.Name)
	}
	return nil
}
