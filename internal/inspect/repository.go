package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sts"
)

// noDigest is a digest that no image has.
const noDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// registryFindings logs in to the registry with the project's pull credentials, as an environment does.
func registryFindings(ctx context.Context, c client.Reader, project *v1alpha1.ProjectImageCache) []Finding {
	f := &findings{area: areaProject}
	repository, auth, err := pullAccess(ctx, c, project)
	if errors.Is(err, errNoPullCredentials) {
		return nil
	}
	if err != nil {
		f.add("registry", ResultSkipped, err.Error(), "")
		return f.list
	}
	_, err = remote.Head(repository.Digest(noDigest), remote.WithContext(ctx), remote.WithAuth(auth))
	var answered *transport.Error
	switch {
	case err == nil, errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound:
		f.ok("registry", repository.RegistryStr()+" accepts the pull credentials")
	case errors.As(err, &answered):
		f.add(
			"registry", ResultFailed,
			fmt.Sprintf("%s rejects the pull credentials: %s", repository.RegistryStr(), http.StatusText(answered.StatusCode)),
			"check that the clocks are right and that the repository has the controller's policy",
		)
	default:
		f.add(
			"registry", ResultFailed, fmt.Sprintf("can't reach %s: %v", repository.RegistryStr(), err),
			"check the network between here and the registry",
		)
	}
	return f.list
}

// awsFindings checks AWS with the user's own credentials: the roles, recorded pull times, the repository and its
// settings.
func awsFindings(ctx context.Context, cache *v1alpha1.RunnerImageCache, project *v1alpha1.ProjectImageCache) []Finding {
	f := &findings{area: areaAWS}
	ctx, cancel := context.WithTimeout(ctx, awsTimeout)
	defer cancel()
	provider, err := aws.NewProvider(ctx, aws.Options{UserAgent: "imagecache"})
	if err != nil {
		f.add("identity", ResultSkipped, err.Error(), "")
		return f.list
	}
	target := aws.Target{Region: cache.Spec.Region}
	clients := provider.Clients(target)
	identity, err := clients.Identity(ctx)
	if err != nil {
		f.add("identity", ResultSkipped, "no usable AWS credentials here: "+aws.Message(err), "")
		return f.list
	}
	f.is(cache.Status.AccountID == "" || identity.AccountID == cache.Status.AccountID, "identity", identity.ARN,
		"use credentials of the runner's account, "+cache.Status.AccountID)
	f.roles(ctx, sts.NewGranter(provider), target, cache)
	f.pullTimes(ctx, clients, cache)
	if project == nil {
		return f.list
	}
	f.repository(ctx, ecr.NewRepositories(clients), project)
	// Another account's registry and root user tell nothing about the runner's.
	if project.Status.Repository != nil && identity.AccountID == cache.Status.AccountID {
		f.policy(ctx, clients, identity, cache, project.Status.Repository.Name)
		f.scanning(ctx, clients, identity, cache, project)
	}
	return f.list
}

// roles assumes both roles. They trust only the controller, so it is right if AWS denies another user.
func (f *findings) roles(
	ctx context.Context, granter *sts.Granter, target aws.Target, cache *v1alpha1.RunnerImageCache,
) {
	for _, role := range []struct{ name, arn string }{
		{"pull role", cache.Status.PullRoleARN}, {"push role", cache.Status.PushRoleARN},
	} {
		if role.arn == "" {
			f.add(
				role.name, ResultFailed, "the controller has not created the role", "look at the runner's condition RolesReady",
			)
			continue
		}
		err := granter.Check(ctx, target, role.arn)
		switch aws.ClassOf(err) {
		case aws.ClassAccessDenied:
			f.add(
				role.name, ResultSkipped, "only the controller may assume the role; the condition RolesReady shows its check", "",
			)
		default:
			if err != nil {
				f.add(role.name, ResultFailed, aws.Message(err), "look at the runner's condition RolesReady")
				continue
			}
			f.ok(role.name, "can be assumed: "+role.arn)
		}
	}
}

// repository compares the repository with the project's settings.
func (f *findings) repository(
	ctx context.Context, repositories *ecr.Repositories, project *v1alpha1.ProjectImageCache,
) {
	const byItself = "the controller corrects this by itself; if it does not, look at the project's conditions"
	if project.Status.Repository == nil {
		f.add("repository", ResultFailed, "the controller has not created the repository", "look at the project's conditions")
		return
	}
	name := project.Status.Repository.Name
	found, err := repositories.Describe(ctx, name)
	if err != nil {
		f.awsError("repository", err)
		return
	}
	if found == nil {
		f.add("repository", ResultFailed, "repository "+name+" does not exist", byItself)
		return
	}
	f.ok("repository", found.URI)
	if found.MutableTags == "" {
		f.ok("immutable tags", "image tags can't be overwritten")
	} else {
		f.add("immutable tags", ResultFailed, found.MutableTags+" can be overwritten", byItself)
	}
	missing := 0
	for _, key := range project.Status.AppliedTags {
		if _, there := found.Tags[key]; !there {
			missing++
		}
	}
	f.is(
		missing == 0, "tags",
		fmt.Sprintf(
			"%d of %d tags that the controller set exist", len(project.Status.AppliedTags)-missing,
			len(project.Status.AppliedTags),
		),
		byItself,
	)
	policy, err := repositories.LifecyclePolicy(ctx, name)
	if err != nil {
		f.awsError("lifecycle", err)
		return
	}
	days := project.Spec.RetentionInDays()
	f.is(
		ecr.SameLifecyclePolicy(policy, ecr.LifecyclePolicy(days)), "lifecycle",
		fmt.Sprintf("images expire after %d days", days), byItself,
	)
}

// awsError adds the finding of a failed check. A check that the user's own credentials may not make is skipped: it is
// not a failure of the cache.
func (f *findings) awsError(check string, err error) {
	if aws.ClassOf(err) == aws.ClassAccessDenied {
		f.add(check, ResultSkipped, "your AWS credentials may not read it: "+aws.Message(err), "")
		return
	}
	f.add(check, ResultFailed, aws.Message(err), "look at the project's conditions")
}
