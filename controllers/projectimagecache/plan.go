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
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sessionpolicy"
)

// desiredRepository is a project's repository as it should be.
type desiredRepository struct {
	name      string
	arn       string
	owner     string
	kmsKeyARN string
	ours      map[string]string // the controller's own tags, except awstag.Origin
	inherited map[string]string // tags of the stack and of the spec that AWS takes
	refused   []string          // keys of those that it doesn't
	lifecycle string
	policy    string
}

// desiredFor makes the repository that a project asks for.
func desiredFor(project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, clusterUID string) desiredRepository {
	name := sessionpolicy.RepositoryName(runner.Spec.RunnerID, project.Spec.ProjectID)
	partition := partitionOf(runner.Status.ControllerARN)
	owner := awstag.OwnerOf(clusterUID, project.Namespace, project.Name)
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
		owner:     owner,
		kmsKeyARN: project.Spec.Encryption.KMSKeyARN,
		ours:      map[string]string{awstag.Owner: owner, sessionpolicy.ProjectTag: project.Spec.ProjectID},
		inherited: taken,
		refused:   refused,
		lifecycle: ecr.LifecyclePolicy(projects.RetentionDays(project)),
		policy: sessionpolicy.Repository(sessionpolicy.RepositoryAccess{
			Partition: partition, AccountID: runner.Status.AccountID, ControllerARN: runner.Status.ControllerARN,
			ProjectID: project.Spec.ProjectID, PullRoleARN: pullRole, Readers: project.Spec.Readers,
		}),
	}
}

func partitionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 || parts[1] == "" {
		return "aws"
	}
	return parts[1]
}

// hash tells apart what is wanted of tags and policies.
func (d desiredRepository) hash() string {
	content, err := json.Marshal([]any{d.name, d.ours, d.inherited, d.lifecycle, d.policy})
	if err != nil {
		panic("controllers: strings can't be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// tags are all tags of the repository, as many as fit beside foreign ones, and the keys of those that don't.
func (d desiredRepository) tags(origin v1alpha1.RepositoryOrigin, foreign int) (tags map[string]string, left []string) {
	own := maps.Clone(d.ours)
	own[awstag.Origin] = string(origin)
	return awstag.Fit(own, d.inherited, awstag.MaxCount-foreign)
}

// seenRepository is a project's repository as it was found. The policies are nil where they were not read.
type seenRepository struct {
	*ecr.Repository
	lifecycle *string
	policy    *string
	// holderLives says that another object of this cluster owns the repository by its tag, and is there.
	holderLives bool
}

// repositoryPlan is what is to be done about a repository. The zero value: nothing, it is as it should be.
type repositoryPlan struct {
	origin       v1alpha1.RepositoryOrigin
	create       bool
	adopt        bool
	immutable    bool
	putLifecycle bool
	putPolicy    bool
	tag          map[string]string
	untag        []string
	// tags are all tags that the controller is to have set when the plan is carried out, and left those without room.
	tags map[string]string
	left []string
	// found is what was not as it was left.
	found []drift.Finding
}

// empty says whether nothing is to be done.
func (p *repositoryPlan) empty() bool {
	return !p.create && !p.adopt && !p.immutable && !p.putLifecycle && !p.putPolicy && len(p.tag) == 0 && len(p.untag) == 0
}

// planRepository compares what is wanted with what was found. Its error says why the repository must not be touched.
func planRepository(project *v1alpha1.ProjectImageCache, desired desiredRepository, seen seenRepository) (*repositoryPlan, error) {
	plan := &repositoryPlan{origin: v1alpha1.RepositoryCreated}
	if seen.Repository == nil {
		plan.create, plan.putLifecycle, plan.putPolicy = true, true, true
		plan.tags, plan.left = desired.tags(plan.origin, 0)
		if project.Status.Repository != nil {
			plan.note(drift.ActionCreateRepository, "the repository was gone")
		}
		return plan, nil
	}
	if err := plan.claim(project, desired, seen); err != nil {
		return nil, err
	}
	changed := project.Status.AppliedHash != desired.hash()
	plan.immutable = !seen.Immutable
	plan.putLifecycle = changed || plan.adopt || (seen.lifecycle != nil && !ecr.SameLifecyclePolicy(*seen.lifecycle, desired.lifecycle)) ||
		failedBefore(project, v1alpha1.ConditionLifecyclePolicyReady)
	plan.putPolicy = changed || plan.adopt || (seen.policy != nil && !sessionpolicy.Equal(*seen.policy, desired.policy)) ||
		failedBefore(project, v1alpha1.ConditionRepositoryPolicyReady)
	plan.planTags(project, desired, seen)
	plan.describe(seen, changed)
	return plan, nil
}

// claim decides whose a repository is that was found: this object's, one to take over, or another's.
func (p *repositoryPlan) claim(project *v1alpha1.ProjectImageCache, desired desiredRepository, seen seenRepository) error {
	holder, owned := seen.Tags[awstag.Owner]
	known := project.Status.Repository != nil && project.Status.Repository.ARN == seen.ARN
	switch {
	case holder == desired.owner:
		// Made or taken over by this very object, perhaps in a pass whose status was never written.
		p.origin = originOf(seen.Tags[awstag.Origin], project)
		return nil
	case !owned && known:
		// The tag was removed by hand.
		p.origin = originOf("", project)
		return nil
	case owned && known:
		// Always is for taking over once: two objects that both say so must not take it from each other for ever.
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s was taken over by %s; remove one of the two objects", desired.name, holder)
	case owned && seen.holderLives:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s belongs to %s, which this cluster has too; remove one of the two objects", desired.name, holder)
	case project.Spec.AdoptionPolicy == v1alpha1.AdoptAlways, !owned && project.Spec.AdoptionPolicy == v1alpha1.AdoptIfUntagged:
		if seen.KMSKeyARN != desired.kmsKeyARN {
			return outcome.Terminalf(v1alpha1.ReasonEncryptionMismatch,
				"repository %s is encrypted with %s, and spec.encryption asks for %s; ECR can't change that",
				desired.name, keyName(seen.KMSKeyARN), keyName(desired.kmsKeyARN))
		}
		p.adopt, p.origin = true, v1alpha1.RepositoryAdopted
		return nil
	case owned:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s belongs to %s, not to this object; remove one of the two, or set adoptionPolicy to Always", desired.name, holder)
	}
	return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
		"repository %s was there before this object; set adoptionPolicy to IfUntagged to take it over, or remove it", desired.name)
}

// originOf trusts the repository's own tag, then the status; what neither knows was not made here and is never removed.
func originOf(tag string, project *v1alpha1.ProjectImageCache) v1alpha1.RepositoryOrigin {
	if tag == string(v1alpha1.RepositoryCreated) {
		return v1alpha1.RepositoryCreated
	}
	if tag == "" && project.Status.Repository != nil && project.Status.Repository.Origin != "" {
		return project.Status.Repository.Origin
	}
	return v1alpha1.RepositoryAdopted
}

func keyName(arn string) string {
	if arn == "" {
		return "ECR's own keys"
	}
	return "key " + arn
}

// failedBefore says whether a part could not be set in an earlier pass.
func failedBefore(project *v1alpha1.ProjectImageCache, condition string) bool {
	return !meta.IsStatusConditionTrue(project.Status.Conditions, condition)
}

// planTags sets what is missing or differs, and removes what the controller set earlier and doesn't want any more.
// Tags that others set are left alone and take room.
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

// describe says what was found, for the events.
func (p *repositoryPlan) describe(seen seenRepository, changed bool) {
	if p.immutable {
		p.note(drift.ActionSetImmutable, "tags could be overwritten")
	}
	if seen.lifecycle != nil && p.putLifecycle && !changed {
		p.note(drift.ActionPutLifecyclePolicy, drift.FoundPolicy("lifecycle policy", *seen.lifecycle))
	}
	if seen.policy != nil && p.putPolicy && !changed {
		p.note(drift.ActionSetRepositoryPolicy, drift.FoundPolicy("repository policy", *seen.policy))
	}
	if p.adopt {
		return
	}
	if len(p.tag) > 0 {
		p.found = append(p.found, drift.MissingTags(p.tag))
	}
	if len(p.untag) > 0 {
		p.found = append(p.found, drift.StrayTags(p.untag))
	}
}

func (p *repositoryPlan) note(action, text string) {
	p.found = append(p.found, drift.Finding{Action: action, Text: text})
}

// drifted says whether a project's repository is worth a closer look, by what the inventory shows of it.
func drifted(project *v1alpha1.ProjectImageCache, desired desiredRepository, shown *ecr.Repository) bool {
	plan, err := planRepository(project, desired, seenRepository{Repository: shown})
	return err != nil || !plan.empty()
}

// tagsProblem says which tags could not be set: nil if all were.
func tagsProblem(left, refused []string) error {
	switch {
	case len(left) > 0:
		return outcome.Terminalf(v1alpha1.ReasonTooManyTags, "a repository can have %d tags; left out: %s", awstag.MaxCount, strings.Join(left, ", "))
	case len(refused) > 0:
		return outcome.Terminalf(v1alpha1.ReasonInvalidTags, "ECR does not take these tags, or they are the controller's own: %s", strings.Join(refused, ", "))
	}
	return nil
}
