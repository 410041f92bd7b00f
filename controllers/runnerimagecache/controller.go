// Package runnerimagecache maintains what a runner's projects share: the account, the stack's tags and the two roles.
package runnerimagecache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
	"imagecache.dev/internal/sts"
)

// Reconciler maintains what a runner's projects share: the account, the stack's tags and the two roles.
type Reconciler struct {
	Client     client.Client
	AWS        *aws.Provider
	Granter    *sts.Granter
	Recorder   events.EventRecorder
	Clock      clock.PassiveClock
	ClusterUID string
	Intervals  schedule.Intervals
	// Keys are the keys that sign and verify images.
	Keys *signingkeys.Keys
	// AllowedRoles are, by namespace, the values that spec.assumeRoleARN may have there.
	AllowedRoles map[string][]string

	mu     sync.Mutex
	visits map[types.UID]*runnerVisits
	stacks map[aws.Target]*cloudformation.Reader
	// stackCalls are the budgets of accounts and regions, which several targets may reach. They stay for as long as the
	// program runs: one that was let go would begin anew.
	stackCalls map[place]*cloudformation.Budget
}

// place is an account and region.
type place struct{ accountID, region string }

// runnerVisits are when the parts of a runner that cost calls were last checked.
type runnerVisits struct {
	stack, roles visit
	// read is the stack as it was read last, for a pass that could not write its status.
	read *cloudformation.Stack
	// formerTags are the keys of the stack's tags since the roles were last in order.
	formerTags map[string]bool
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=runnerimagecaches,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=imagecache.dev,resources=runnerimagecaches/status,verbs=patch
// +kubebuilder:rbac:groups=imagecache.dev,resources=runnerimagecaches/finalizers,verbs=update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile checks a runner's account, stack and roles, corrects what it can, and reports everything else in the
// status.
func (r *Reconciler) Reconcile(ctx context.Context, runner *v1alpha1.RunnerImageCache) (ctrl.Result, error) {
	projects, err := r.countProjects(ctx, runner)
	if err != nil {
		return outcome.Result(ctx, err, 0)
	}
	if !runner.DeletionTimestamp.IsZero() {
		return outcome.Settled(ctx, r.finalize(ctx, runner, projects), r.Intervals.Stack)
	}
	if err := persist.Finalizer(ctx, r.Client, runner); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	facts := &runnerFacts{now: r.Clock.Now(), projects: projects}
	facts.keys, facts.keysErr = r.Keys.Latest()
	if notRead(facts.keysErr) && hadKeys(runner) {
		// The manager has just started. What its predecessor found stays until this one has read the keys.
		return outcome.Result(ctx, facts.keysErr, 0)
	}
	if err := r.observe(ctx, runner, facts); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	before := runner.Status.DeepCopy()
	if err := persist.Status(ctx, r.Client, runner, &runner.Status, runnerStatus(runner, facts)); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	r.announce(runner, before)
	next := schedule.Jittered(r.nextLook(runner), runner.UID)
	if facts.stackLater != nil {
		next = schedule.Soonest(facts.stackLater.After, next)
	}
	return outcome.Settled(ctx, facts.err(), next)
}

// observe collects the facts of a pass in the order of their dependencies. It returns errors of the cluster; errors
// of AWS are facts.
func (r *Reconciler) observe(ctx context.Context, runner *v1alpha1.RunnerImageCache, facts *runnerFacts) error {
	var sameID v1alpha1.RunnerImageCacheList
	if err := r.Client.List(ctx, &sameID, client.MatchingFields{indexes.RunnerID: runner.Spec.RunnerID}); err != nil {
		return fmt.Errorf("list runners of the same ID: %w", err)
	}
	facts.refused = runnerRefusal(runner, sameID.Items, awstarget.AllowedRoles(r.AllowedRoles, runner.Namespace))
	if facts.refused == nil {
		r.lookAtAWS(ctx, runner, facts)
	}
	return nil
}

func (r *Reconciler) lookAtAWS(ctx context.Context, runner *v1alpha1.RunnerImageCache, facts *runnerFacts) {
	identity, err := r.AWS.Clients(awstarget.AddressOf(runner)).Identity(ctx)
	if facts.accountErr = err; err != nil {
		return
	}
	if facts.accountErr = accountProblem(runner, identity); facts.accountErr != nil {
		return
	}
	facts.identity = &identity
	visits := r.visitsOf(runner.UID)
	r.lookAtStack(ctx, runner, visits, facts)
	r.lookAtRoles(ctx, runner, visits, facts)
}

// lookAtStack reads the runner's stack if that is due.
func (r *Reconciler) lookAtStack(ctx context.Context, runner *v1alpha1.RunnerImageCache, visits *runnerVisits, facts *runnerFacts) {
	name := runner.Spec.StackName
	if name == "" {
		return
	}
	if !visits.stack.due(runner.Generation, facts.now, stackInterval(visits.stack, r.Intervals)) {
		facts.stack, facts.stackErr = visits.read, visits.stack.err
		return
	}
	stack, err := r.stacksOf(awstarget.AddressOf(runner), facts.identity.AccountID).Read(ctx, name, maxStackAge(runner, visits.stack, r.Intervals))
	var later *aws.LaterError
	switch {
	case errors.As(err, &later) && knowsStack(runner, visits.stack):
		// What the status shows stays until the stack is read.
		facts.stack, facts.stackErr, facts.stackLater = visits.read, visits.stack.err, later
		return
	case errors.Is(err, cloudformation.ErrNotFound):
		err = outcome.Terminalf(v1alpha1.ReasonStackNotFound, "stack %[2]s does not exist in region %[1]s; correct spec.stackName", runner.Spec.Region, name)
	case err == nil:
		facts.stack = stack
		err = stackProblem(name, stack)
	}
	facts.stackErr, visits.read = err, facts.stack
	visits.stack = visit{generation: runner.Generation, at: facts.now, err: err}
}

func (r *Reconciler) countProjects(ctx context.Context, runner *v1alpha1.RunnerImageCache) (int32, error) {
	var projects v1alpha1.ProjectImageCacheList
	err := r.Client.List(ctx, &projects, client.InNamespace(runner.Namespace),
		client.MatchingFields{indexes.ProjectRunner: runner.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("list the runner's projects: %w", err)
	}
	return int32(min(len(projects.Items), 1<<31-1)), nil //nolint:gosec // bounded in the same expression
}

func (r *Reconciler) visitsOf(uid types.UID) *runnerVisits {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.visits == nil {
		r.visits = map[types.UID]*runnerVisits{}
	}
	if r.visits[uid] == nil {
		r.visits[uid] = &runnerVisits{}
	}
	return r.visits[uid]
}

func (r *Reconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.visits, uid)
}

// stacksOf returns what reads the stacks of a target, which is in an account.
func (r *Reconciler) stacksOf(target aws.Target, accountID string) *cloudformation.Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stacks == nil {
		r.stacks, r.stackCalls = map[aws.Target]*cloudformation.Reader{}, map[place]*cloudformation.Budget{}
	}
	if r.stacks[target] == nil {
		there := place{accountID, target.Region}
		if r.stackCalls[there] == nil {
			r.stackCalls[there] = cloudformation.NewBudget(r.Intervals.StackCalls)
		}
		r.stacks[target] = cloudformation.NewReader(r.AWS.Clients(target), r.Clock, r.stackCalls[there])
	}
	return r.stacks[target]
}

// Keep lets go of what reads the stacks of all targets but those that are named.
func (r *Reconciler) Keep(named map[aws.Target]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.stacks, func(target aws.Target, _ *cloudformation.Reader) bool { return !named[target] })
}

// nextLook returns when a runner is checked again although nothing in the cluster changed.
func (r *Reconciler) nextLook(runner *v1alpha1.RunnerImageCache) time.Duration {
	if runner.Spec.StackName == "" {
		return r.Intervals.Roles
	}
	return stackInterval(r.visitsOf(runner.UID).stack, r.Intervals)
}
