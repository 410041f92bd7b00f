// Package pullcredentials supplies projects with credentials to pull images, while environments ask for them.
package pullcredentials

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/internal/sts"
)

// Reconciler supplies each project with credentials to pull its images while environments ask for them. Other
// projects cost nothing.
type Reconciler struct {
	Client   client.Client
	Granter  *sts.Granter
	Recorder events.EventRecorder
	// Clock is AWS' clock: what it is compared with are mostly ends of credentials.
	Clock clock.PassiveClock

	Targets *awstarget.Targets

	mu sync.Mutex
	// granted are credentials that were created. They save another grant if the status could not be written.
	granted map[types.UID]grantedPull
	lost    map[types.UID]bool
	// asked is when the newest request of each project was created. The watch sets it. Its first events cover all
	// existing requests, so no pass searches finished requests.
	asked map[types.NamespacedName]time.Time
}

// grantedPull are credentials that were created, and the repository that they are for.
type grantedPull struct {
	v1alpha1.CredentialReference
	repositoryARN string
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches;runnerimagecaches;devcontainerimages,verbs=get;list;watch
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile creates, replaces or removes a project's pull credentials.
func (r *Reconciler) Reconcile(ctx context.Context, project *v1alpha1.ProjectImageCache) (ctrl.Result, error) {
	if !project.DeletionTimestamp.IsZero() {
		r.forget(project.UID)
		return outcome.Result(ctx, nil, 0)
	}
	runner, err := projects.RunnerOf(ctx, r.Client, project)
	if err != nil || runner == nil || project.Status.Repository == nil {
		return outcome.Result(ctx, err, 0)
	}
	open, err := indexes.Requests(ctx, r.Client, project.Namespace, indexes.OpenProject, project.Name)
	if err != nil {
		return outcome.Result(ctx, err, 0)
	}
	facts := pullFacts{now: r.Clock.Now(), disabled: runner.Spec.Cache == v1alpha1.CacheDisabled, current: r.current(project)}
	lost, err := r.isLost(ctx, project)
	if err != nil {
		return outcome.Result(ctx, err, 0)
	}
	action, next := planPull(pullInput{
		uid: project.UID, now: facts.now, disabled: facts.disabled, lost: lost,
		asked: pullAsked(project, r.lastAsked(project, facts.now), open, facts.now), current: facts.current,
	})
	if facts.action = action; action == pullGrant && !awstarget.Observed(runner) {
		// The runner's watch wakes the project soon.
		return outcome.Result(ctx, nil, 0)
	}
	r.act(ctx, project, runner, &facts)
	if action == pullKeep && !r.isNews(project, facts) {
		return outcome.Result(ctx, nil, next)
	}
	before := project.Status.DeepCopy()
	if err := persist.Status(ctx, r.Client, project, &project.Status, pullStatus(project, facts)); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	r.announce(project, before, facts)
	if action == pullGrant && facts.err == nil {
		next = max(refreshAt(facts.current.ExpiresAt, project.UID).Sub(facts.now), time.Second)
	}
	return outcome.Settled(ctx, facts.err, next)
}

// act carries out the decision.
func (r *Reconciler) act(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, facts *pullFacts) {
	switch facts.action {
	case pullGrant:
		granted, err := r.grant(ctx, project, runner, facts.now)
		if facts.err = err; err == nil {
			facts.current = granted
			r.remember(project.UID, grantedPull{*granted, project.Status.Repository.ARN})
		}
	case pullRemove:
		if facts.err = credentials.Remove(ctx, r.Client, project.Namespace, projects.PullSecretName(project)); facts.err == nil {
			facts.current = nil
			r.forget(project.UID)
		}
	case pullKeep:
	}
}

// grant creates credentials and replaces the old ones with them. Until that succeeds, the old ones stay.
func (r *Reconciler) grant(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, now time.Time) (*v1alpha1.CredentialReference, error) {
	target, err := r.Targets.OfProject(ctx, project, runner)
	if err != nil {
		return nil, err
	}
	if project.Status.PullCredentials == nil && !meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionRolesReady) {
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the roles of runner %s are not ready; see its conditions", runner.Name)
	}
	granted, err := credentials.Grant{
		What:        "pull credentials",
		Kind:        v1alpha1.CredentialsPull,
		Project:     project,
		Repository:  project.Status.Repository,
		RoleARN:     runner.Status.PullRoleARN,
		SessionName: "pull-" + project.Namespace + "-" + project.Name,
		Policy:      sessionpolicy.Pull,
		Duration:    pullDuration,
		SecretName:  projects.PullSecretName(project),
		OwnerKind:   "ProjectImageCache",
		Owner:       project,
	}.Create(ctx, r.Client, r.Granter, target.Address, now)
	if err == nil {
		log.FromContext(ctx).Info("Granted pull credentials", "expiresAt", granted.ExpiresAt.Time)
	}
	return granted, err
}

// current returns the newest known credentials: those of the status, or later ones that the status does not show yet.
func (r *Reconciler) current(project *v1alpha1.ProjectImageCache) *v1alpha1.CredentialReference {
	r.mu.Lock()
	defer r.mu.Unlock()
	shown := project.Status.PullCredentials
	made, ok := r.granted[project.UID]
	if ok && made.repositoryARN == project.Status.Repository.ARN && (shown == nil || made.ExpiresAt.After(shown.ExpiresAt.Time)) {
		return &made.CredentialReference
	}
	return shown.DeepCopy()
}

// isNews reports whether the status does not show yet what holds: the current credentials, or that nobody asks for any.
// Without that, a failure of the last ones would be shown for ever.
func (r *Reconciler) isNews(project *v1alpha1.ProjectImageCache, facts pullFacts) bool {
	condition := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionPullCredentialsReady)
	if facts.current == nil {
		return condition != nil && !facts.disabled
	}
	shown := project.Status.PullCredentials
	return shown == nil || !shown.ExpiresAt.Equal(&facts.current.ExpiresAt) ||
		condition == nil || condition.Status != metav1.ConditionTrue
}

// noteAsked records that a request of a project was created.
func (r *Reconciler) noteAsked(request *v1alpha1.DevcontainerImage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	project := types.NamespacedName{Namespace: request.Namespace, Name: request.Spec.ProjectRef.Name}
	if at := request.CreationTimestamp.Time; at.After(r.asked[project]) {
		r.asked[project] = at
	}
}

// lastAsked returns when a project's newest request was created, or zero if that is too long ago to count.
func (r *Reconciler) lastAsked(project *v1alpha1.ProjectImageCache, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(project)
	at, known := r.asked[key]
	if known && now.Sub(at) >= pullAskedFor {
		delete(r.asked, key)
		return time.Time{}
	}
	return at
}

func (r *Reconciler) remember(uid types.UID, granted grantedPull) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.granted[uid] = granted
	delete(r.lost, uid)
}

func (r *Reconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.granted, uid)
	delete(r.lost, uid)
}

// isLost reports whether another client removed the Secret that the status shows. It learns that from the watch, or,
// for a Secret of an earlier manager, from the Secret's absence. The cache may not show a Secret of this manager yet.
func (r *Reconciler) isLost(ctx context.Context, project *v1alpha1.ProjectImageCache) (bool, error) {
	r.mu.Lock()
	_, made := r.granted[project.UID]
	lost := r.lost[project.UID]
	r.mu.Unlock()
	if lost || made || project.Status.PullCredentials == nil {
		return lost, nil
	}
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: project.Namespace, Name: project.Status.PullCredentials.SecretName}, secret)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("get the pull secret: %w", err)
	}
	return err != nil, nil
}
