package projectimagecache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sessionpolicy"
)

// desiredRepository is the desired state of a project's repository.
type desiredRepository struct {
	name      string
	arn       string
	object    string // names the object, as owner does, but not its UID
	owner     string // names this object and no earlier one of its name
	kmsKeyARN string
	ours      map[string]string // the controller's own tags, except awstag.Origin
	inherited map[string]string // tags of the stack and of the spec that AWS accepts
	refused   []string          // keys of the tags that AWS does not accept
	lifecycle string
	policy    string
}

// desiredFor returns the repository that a project asks for.
func desiredFor(project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, clusterUID string) desiredRepository {
	name := sessionpolicy.RepositoryName(runner.Spec.RunnerID, project.Spec.ProjectID)
	partition := partitionOf(runner.Status.ControllerARN)
	object := awstag.OwnerOf(clusterUID, project.Namespace, project.Name)
	owner := awstag.OwnerWithUID(clusterUID, project.Namespace, project.Name, string(project.UID))
	pullRole := runner.Status.PullRoleARN
	if runner.Spec.Cache == v1alpha1.CacheDisabled {
		pullRole = ""
	}
	wanted := map[string]string{}
	for _, tag := range project.Spec.Tags {
		wanted[tag.Key] = awstag.Value(tag.Value)
	}
	maps.Copy(wanted, awstag.OfStack(runner))
	taken, refused := awstag.Takeable(wanted)
	return desiredRepository{
		name:      name,
		arn:       sessionpolicy.RepositoryARN(partition, runner.Spec.Region, runner.Status.AccountID, name),
		object:    object,
		owner:     owner,
		kmsKeyARN: project.Spec.Encryption.KMSKeyARN,
		ours:      map[string]string{awstag.Owner: owner, sessionpolicy.ProjectTag: project.Spec.ProjectID},
		inherited: taken,
		refused:   refused,
		lifecycle: ecr.LifecyclePolicy(project.Spec.RetentionInDays()),
		policy: sessionpolicy.Repository(sessionpolicy.RepositoryAccess{
			Partition: partition, AccountID: runner.Status.AccountID, ControllerARN: runner.Status.ControllerARN,
			ProjectID: project.Spec.ProjectID, PullRoleARN: pullRole, Readers: readersOf(project, runner, partition),
		}),
	}
}

// readersOf returns the principals that pull besides the project's own sessions.
func readersOf(project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, partition string) []string {
	inspector := sessionpolicy.InspectorRoleARN(partition, runner.Status.AccountID)
	if runner.Spec.Scanning != v1alpha1.ScanningAmazonInspector || slices.Contains(project.Spec.Readers, inspector) {
		return project.Spec.Readers
	}
	return append(slices.Clone(project.Spec.Readers), inspector)
}

func partitionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 || parts[1] == "" {
		return "aws"
	}
	return parts[1]
}

// hash returns a digest of the desired tags and policies. An object keeps its UID for life, so the hash does without.
func (d desiredRepository) hash() string {
	ours := maps.Clone(d.ours)
	ours[awstag.Owner] = d.object
	content, err := json.Marshal([]any{d.name, ours, d.inherited, d.lifecycle, d.policy})
	if err != nil {
		panic("controllers: strings can't be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// tags returns all tags of the repository, as many as fit beside foreign ones, and the keys of those that don't fit.
func (d desiredRepository) tags(origin v1alpha1.RepositoryOrigin, foreign int) (tags map[string]string, left []string) {
	own := maps.Clone(d.ours)
	own[awstag.Origin] = string(origin)
	return awstag.Fit(own, d.inherited, awstag.MaxCount-foreign)
}

// seenRepository is the observed state of a project's repository. A policy is nil if it was not read.
type seenRepository struct {
	*ecr.Repository
	lifecycle *string
	policy    *string
	// holderLives means that the owner's tag names another object of this cluster, and that the object exists.
	holderLives bool
}

// repositoryPlan is what to do with a repository. The zero value means nothing: the repository is in its desired
// state.
type repositoryPlan struct {
	origin       v1alpha1.RepositoryOrigin
	create       bool
	adopt        bool
	immutable    bool
	putLifecycle bool
	putPolicy    bool
	tag          map[string]string
	untag        []string
	// tags are all tags that the controller has set when the plan is carried out. left are the keys that don't fit.
	tags map[string]string
	left []string
	// found are the differences from what the controller set.
	found []drift.Finding
}

// empty reports whether nothing is to be done.
func (p *repositoryPlan) empty() bool {
	return !p.create && !p.adopt && !p.immutable && !p.putLifecycle && !p.putPolicy && len(p.tag) == 0 && len(p.untag) == 0
}

// planRepository compares the desired with the observed state. Its error tells why the repository must not be
// changed.
func planRepository(project *v1alpha1.ProjectImageCache, desired desiredRepository, seen seenRepository) (*repositoryPlan, error) {
	plan := &repositoryPlan{origin: v1alpha1.RepositoryCreated}
	if seen.Repository == nil {
		plan.create, plan.putLifecycle, plan.putPolicy = true, true, true
		plan.tags, plan.left = desired.tags(plan.origin, 0)
		if project.Status.Repository != nil {
			plan.note(drift.ActionCreateRepository, "the repository did not exist any more")
		}
		return plan, nil
	}
	if err := plan.claim(project, desired, seen); err != nil {
		return nil, err
	}
	changed := project.Status.AppliedHash != desired.hash() || !recorded(project, seen.Repository)
	plan.immutable = seen.MutableTags != ""
	plan.putLifecycle = changed || (seen.lifecycle != nil && !ecr.SameLifecyclePolicy(*seen.lifecycle, desired.lifecycle)) ||
		failedBefore(project, v1alpha1.ConditionLifecyclePolicyReady)
	plan.putPolicy = changed || (seen.policy != nil && !sessionpolicy.Equal(*seen.policy, desired.policy)) ||
		failedBefore(project, v1alpha1.ConditionRepositoryPolicyReady)
	plan.planTags(project, desired, seen)
	plan.describe(desired, seen, changed)
	return plan, nil
}

// failedBefore reports whether a part could not be set in an earlier pass.
func failedBefore(project *v1alpha1.ProjectImageCache, condition string) bool {
	return !meta.IsStatusConditionTrue(project.Status.Conditions, condition)
}

// planTags sets tags that are missing or differ, and removes tags that the controller set earlier and that are no
// longer desired. It keeps tags that others set; they count towards the limit.
func (p *repositoryPlan) planTags(project *v1alpha1.ProjectImageCache, desired desiredRepository, seen seenRepository) {
	applied := map[string]bool{}
	for _, key := range project.Status.AppliedTags {
		applied[key] = true
	}
	foreign := 0
	for key := range seen.Tags {
		_, wanted := desired.inherited[key]
		if !wanted && !awstag.IsOurs(key) && !awstag.IsReserved(key) && !applied[key] {
			foreign++
		}
	}
	p.tags, p.left = desired.tags(p.origin, foreign)
	for key, value := range p.tags {
		if have, ok := seen.Tags[key]; !ok || have != value {
			if p.tag == nil {
				p.tag = map[string]string{}
			}
			p.tag[key] = value
		}
	}
	for key := range seen.Tags {
		if _, wanted := p.tags[key]; !wanted && applied[key] {
			p.untag = append(p.untag, key)
		}
	}
	slices.Sort(p.untag)
}

// describe describes the differences, for the events.
func (p *repositoryPlan) describe(desired desiredRepository, seen seenRepository, changed bool) {
	if p.immutable {
		p.note(drift.ActionSetImmutable, seen.MutableTags+" were mutable")
	}
	if seen.lifecycle != nil && p.putLifecycle && !changed {
		text := drift.FoundPolicy("lifecycle policy", *seen.lifecycle)
		if ecr.ArchivesImages(*seen.lifecycle) {
			text += " to archive images, which then can't be pulled"
		}
		p.note(drift.ActionPutLifecyclePolicy, text)
	}
	if seen.policy != nil && p.putPolicy && !changed {
		p.note(drift.ActionSetRepositoryPolicy, drift.FoundPolicy("repository policy", *seen.policy))
	}
	if p.adopt {
		return
	}
	missing := maps.Clone(p.tag)
	if desired.names(seen.Tags[awstag.Owner]) {
		delete(missing, awstag.Owner) // an earlier version set it
	}
	if len(missing) > 0 {
		p.found = append(p.found, drift.MissingTags(missing))
	}
	if len(p.untag) > 0 {
		p.found = append(p.found, drift.StrayTags(p.untag))
	}
}

func (p *repositoryPlan) note(action, text string) {
	p.found = append(p.found, drift.Finding{Action: action, Text: text})
}

// drifted reports whether the inventory shows that a project's repository must be read itself.
func drifted(project *v1alpha1.ProjectImageCache, desired desiredRepository, shown *ecr.Repository) bool {
	plan, err := planRepository(project, desired, seenRepository{Repository: shown})
	return err != nil || !plan.empty()
}

// tagsProblem returns an error that lists the tags that could not be set, or nil if all were set.
func tagsProblem(left, refused []string) error {
	switch {
	case len(left) > 0:
		return outcome.Terminalf(v1alpha1.ReasonTooManyTags, "a repository can have %d tags; left out: %s", awstag.MaxCount, strings.Join(left, ", "))
	case len(refused) > 0:
		return outcome.Terminalf(v1alpha1.ReasonInvalidTags, "ECR does not accept these tags, or the controller reserves them: %s", strings.Join(refused, ", "))
	}
	return nil
}
