package projectimagecache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// repositorySettles is how soon a repository is read again that AWS reports as existing but does not return yet.
const repositorySettles = time.Second

// converge brings a project's repository to its desired state and collects the results.
func (r *Reconciler) converge(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, f *projectFacts) {
	var seen seenRepository
	if project.Status.Repository != nil {
		if seen, f.repositoryErr = r.observe(ctx, project, target, f); f.repositoryErr != nil {
			return
		}
	}
	if f.plan, f.repositoryErr = planRepository(project, f.desired, seen); f.repositoryErr != nil {
		return
	}
	r.apply(ctx, target, seen, f)
	if !errors.Is(f.repositoryErr, ecr.ErrRepositoryExists) {
		return
	}
	// The repository exists already: a pass for this object that was cut short created it, or another owner did.
	if seen.Repository, f.repositoryErr = target.Repositories.Describe(ctx, f.desired.name); f.repositoryErr != nil {
		return
	}
	if seen.Repository == nil {
		f.repositoryErr = outcome.Waitingf(v1alpha1.ReasonProgressing, repositorySettles, "repository %s exists but is not visible yet", f.desired.name)
		return
	}
	target.Inventory.Note(*seen.Repository)
	if seen.holderLives, f.repositoryErr = r.holderLives(ctx, project, seen.Tags[awstag.Owner]); f.repositoryErr != nil {
		return
	}
	if f.plan, f.repositoryErr = planRepository(project, f.desired, seen); f.repositoryErr != nil {
		return
	}
	r.apply(ctx, target, seen, f)
}

// holderLives reports whether an owner's tag names another object of this cluster that exists and is not being
// deleted.
func (r *Reconciler) holderLives(ctx context.Context, project *v1alpha1.ProjectImageCache, owner string) (bool, error) {
	object, ours := strings.CutPrefix(owner, r.ClusterUID+"/")
	namespace, name, ok := strings.Cut(object, "/")
	name, _, _ = strings.Cut(name, "/") // the UID follows
	if !ours || !ok || (namespace == project.Namespace && name == project.Name) {
		return false, nil
	}
	holder := &v1alpha1.ProjectImageCache{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, holder)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get the repository's owner: %w", err)
	}
	return holder.DeletionTimestamp.IsZero(), nil
}

// observe reads an existing repository: first from the inventory that all projects share. It reads the repository
// itself only if the inventory shows something to do or can't be read.
func (r *Reconciler) observe(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, f *projectFacts) (seenRepository, error) {
	var seen seenRepository
	err := target.Inventory.Fresh(ctx, 2*r.Intervals.Drift)
	if err == nil {
		seen.Repository = target.Inventory.Get(f.desired.name)
	} else {
		log.FromContext(ctx).V(1).Info("Reading the repository itself, because the inventory is not readable", "error", aws.Message(err))
	}
	if seen.Repository == nil || drifted(project, f.desired, seen.Repository) {
		actual, err := target.Repositories.Describe(ctx, f.desired.name)
		if err != nil {
			return seenRepository{}, err
		}
		seen.Repository = actual
		if actual == nil {
			target.Inventory.Forget(f.desired.name)
			return seen, nil
		}
		target.Inventory.Note(*actual)
	}
	if !f.sweep {
		return seen, nil
	}
	// An unreadable policy is not known to be wrong, so the project keeps its status. The next sweep reads the policy
	// again.
	lifecycle, lifecycleErr := target.Repositories.LifecyclePolicy(ctx, f.desired.name)
	policy, policyErr := target.Repositories.Policy(ctx, f.desired.name)
	if aws.ClassOf(lifecycleErr) == aws.ClassNotFound || aws.ClassOf(policyErr) == aws.ClassNotFound {
		// The repository does not exist any more, and the inventory does not show that yet.
		target.Inventory.Forget(f.desired.name)
		return seenRepository{}, nil
	}
	if lifecycleErr == nil {
		seen.lifecycle = &lifecycle
	}
	if policyErr == nil {
		seen.policy = &policy
	}
	f.sweepErr = outcome.First(lifecycleErr, policyErr)
	f.swept = f.sweepErr == nil
	return seen, nil
}

// apply carries out a plan. A part that fails does not stop the others.
func (r *Reconciler) apply(ctx context.Context, target *awstarget.Target, seen seenRepository, f *projectFacts) {
	plan, repositories := f.plan, target.Repositories
	if plan.create {
		made, err := repositories.Create(ctx, f.desired.name, f.desired.kmsKeyARN, plan.tags)
		if f.repositoryErr = err; err != nil {
			return
		}
		log.FromContext(ctx).Info("Created repository", "repository", f.desired.name)
		seen.Repository = made
	}
	f.repositoryErr = nil
	f.repository = seen.Repository
	f.tagged = tagsOf(seen.Repository)
	// Adoption writes the owner's tag first, so that a second object that adopts at the same time sees it.
	if len(plan.tag) > 0 {
		if f.tagsErr = repositories.Tag(ctx, seen.ARN, plan.tag); f.tagsErr == nil {
			maps.Copy(f.tagged, plan.tag)
		}
	}
	if len(plan.untag) > 0 {
		err := repositories.Untag(ctx, seen.ARN, plan.untag)
		f.tagsErr = outcome.First(f.tagsErr, err)
		if err == nil {
			maps.DeleteFunc(f.tagged, func(key, _ string) bool { return slices.Contains(plan.untag, key) })
		}
	}
	if plan.adopt && f.tagsErr != nil {
		f.repositoryErr = f.tagsErr
		return
	}
	if plan.immutable {
		f.repositoryErr = repositories.SetImmutable(ctx, f.desired.name)
	}
	if plan.putLifecycle {
		f.lifecycleErr = repositories.PutLifecyclePolicy(ctx, f.desired.name, f.desired.lifecycle)
	}
	if plan.putPolicy {
		f.policyErr = repositories.SetPolicy(ctx, f.desired.name, f.desired.policy)
	}
	r.note(target, f)
}

// note tells the inventory what was done, so that the next pass starts from it. If AWS reports that the repository
// does not exist, note removes it from the inventory, so that the next pass reads it again.
func (r *Reconciler) note(target *awstarget.Target, f *projectFacts) {
	for _, err := range []error{f.repositoryErr, f.tagsErr, f.lifecycleErr, f.policyErr} {
		if aws.ClassOf(err) == aws.ClassNotFound {
			target.Inventory.Forget(f.desired.name)
			return
		}
	}
	if f.plan.empty() {
		return
	}
	now := *f.repository
	now.Tags = f.tagged
	if f.plan.immutable && f.repositoryErr == nil {
		now.MutableTags = ""
	}
	target.Inventory.Note(now)
}

func tagsOf(repository *ecr.Repository) map[string]string {
	tags := make(map[string]string, len(repository.Tags))
	maps.Copy(tags, repository.Tags)
	return tags
}
