package projectimagecache

import (
	"strings"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
)

// names reports whether an owner's tag names the object's cluster, namespace and name: with this object's UID, with
// that of an earlier object, or with none, as earlier versions set it. Anybody can guess such a tag without a UID.
func (d desiredRepository) names(owner string) bool {
	return owner == d.object || strings.HasPrefix(owner, awstag.WithoutUID(d.owner)+"/")
}

// owns reports whether an observed repository belongs to the project: its tag holds the project's UID, or the status
// records the repository and its tag names no other object.
func (d desiredRepository) owns(project *v1alpha1.ProjectImageCache, seen *ecr.Repository) bool {
	owner := seen.Tags[awstag.Owner]
	return owner == d.owner || (d.names(owner) && recorded(project, seen))
}

// recorded reports whether the status records this very repository, not one that was created later under its name.
// Earlier versions did not record when it was created.
func recorded(project *v1alpha1.ProjectImageCache, seen *ecr.Repository) bool {
	known := project.Status.Repository
	return known != nil && known.ARN == seen.ARN && (known.CreatedAt == nil || known.CreatedAt.Unix() == seen.CreatedAt.Unix())
}

// claim decides whether an observed repository belongs to this object, may be adopted, or belongs to another owner.
// A tag proves nothing unless it holds the object's UID: who can guess the tag could have created the repository first.
func (p *repositoryPlan) claim(project *v1alpha1.ProjectImageCache, desired desiredRepository, seen seenRepository) error {
	holder, owned := seen.Tags[awstag.Owner]
	named := desired.names(holder)
	switch {
	case recorded(project, seen.Repository) && (!owned || named):
		// This object created or adopted the repository. Without the tag, it was removed by hand.
		p.origin = originOf(seen.Tags[awstag.Origin], project)
		return nil
	case holder == desired.owner:
		// This object created or adopted the repository in a pass that did not write its status.
		p.origin = originOf(seen.Tags[awstag.Origin], project)
		return sameEncryption(desired, seen)
	case owned && !named && project.Status.Repository != nil && project.Status.Repository.ARN == seen.ARN:
		// Always adopts once: two objects that both say Always must not take the repository from each other forever.
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"%[2]s has adopted repository %[1]s; remove one of the two objects", desired.name, holder)
	case owned && !named && seen.holderLives:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s belongs to %s, which exists in this cluster; remove one of the two objects", desired.name, holder)
	case mayAdopt(project.Spec.AdoptionPolicy, owned && !named):
		p.adopt, p.origin = true, v1alpha1.RepositoryAdopted
		return sameEncryption(desired, seen)
	case owned && !named:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s belongs to %s, not to this object; remove one of the two, or set adoptionPolicy to Always", desired.name, holder)
	case project.Status.Repository != nil && project.Status.Repository.ARN == seen.ARN:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s was removed, and created again at %s by another than this controller, such as a repository creation template of the registry; remove it, or set adoptionPolicy to IfUntagged to adopt it with its images",
			desired.name, seen.CreatedAt.UTC().Format(time.RFC3339))
	case owned:
		return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
			"repository %s was not created for this object, although its tag names %s; if you know who created it, set adoptionPolicy to IfUntagged to adopt it with its images; otherwise remove it",
			desired.name, holder)
	}
	return outcome.Terminalf(v1alpha1.ReasonRepositoryNotOwned,
		"repository %s was not created for this object; set adoptionPolicy to IfUntagged to adopt it, or remove it", desired.name)
}

// mayAdopt reports whether a policy allows the adoption of a repository, which may belong to another object.
func mayAdopt(policy v1alpha1.AdoptionPolicy, others bool) bool {
	return policy == v1alpha1.AdoptAlways || (policy == v1alpha1.AdoptIfUntagged && !others)
}

// sameEncryption returns an error if a repository that the object takes over is encrypted otherwise than it asks.
func sameEncryption(desired desiredRepository, seen seenRepository) error {
	if seen.KMSKeyARN == desired.kmsKeyARN {
		return nil
	}
	return outcome.Terminalf(v1alpha1.ReasonEncryptionMismatch,
		"repository %s is encrypted with %s, but spec.encryption asks for %s; ECR can't change that",
		desired.name, keyName(seen.KMSKeyARN), keyName(desired.kmsKeyARN))
}

// originOf trusts the repository's own tag first, then the status. A repository of unknown origin was not created
// here and is never deleted.
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
