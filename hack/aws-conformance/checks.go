package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"imagecache.dev/internal/sessionpolicy"
)

// check is one belief about AWS. run answers what was seen; an error says that the belief doesn't hold, or could not be
// checked.
type check struct {
	name, belief string
	slow         bool
	run          func(context.Context, *world) (seen string, err error)
}

// checks in the order in which they run. docs/security.md and docs/emulator.md name them.
var checks = []check{
	{name: "how long a new role takes", belief: "a new role can be assumed within two minutes",
		run: func(_ context.Context, w *world) (string, error) {
			return w.roleTook.Round(time.Millisecond).String(), nil
		}},
	{name: "a session without a tag", belief: "a trust policy that asks for a session tag lets nobody assume the role without one", run: sessionWithoutTag},
	{name: "a describe right after a create", belief: "a new repository can be described within two minutes", run: describeAfterCreate},
	{name: "the packed size of the longest policies", belief: "the longest session policies that this project makes fit", run: packedSize},
	{name: "PutImage of another principal's layers", belief: "whoever may PutImage may name layers that somebody else uploaded", run: putOthersLayers},
	{name: "an upload over two passwords", belief: "an upload goes on with another password, and the registry tells the byte that it expects", run: resumedUpload},
	{name: "no manifest with upload rights", belief: "a password of a session that may only upload layers puts no manifest", run: noManifestWithUploadRights},
	{name: "policy variables in the role's policy", belief: "a role's policy reaches the repository that the session's tag names, and no other", run: policyVariables},
	{name: "a session policy through a registry password", belief: "a registry password is limited by the policy of the session that asked for it", run: sessionPolicyThroughPassword},
	{name: "deny by session tag through a registry password", belief: "a repository policy sees the session tags of a registry password", run: denyBySessionTag},
	{name: "a deadline through a registry password", belief: "DateLessThan aws:CurrentTime in the session policy ends a registry password", run: deadlineThroughPassword},
	{name: "tag immutability", belief: "another image under an immutable tag is ImageTagAlreadyExistsException", run: tagImmutability},
	{name: "the same image under the same tag", belief: "the same image again is ImageAlreadyExistsException, or ImageTagAlreadyExistsException", run: sameImageAgain},
	{name: "missing layers", belief: "PutImage of a layer that is not there is LayersNotFoundException", run: missingLayers},
	{name: "annotations in an OCI manifest", belief: "PutImage takes an OCI manifest with annotations of its own and of its layers, and BatchGetImage returns it as it was", run: annotatedManifest},
	{name: "push age after a retag", belief: "another tag for an image does not renew its push time", run: pushAgeAfterRetag},
	{name: "layers that no image names", belief: "GetDownloadUrlForLayer hands out layers that an image names, and no others", run: unreferencedLayers},
	{name: "delete, then put", belief: "BatchDeleteImage frees an immutable tag for another image at once", run: deleteThenPut},
	{name: "the repository policy without force", belief: "ECR takes the policy of a project's repository without force, every action in it, and returns it", run: policyWithoutForce},
	{name: "how long policy changes take", belief: "a change of a repository's policy acts on registry passwords within two minutes", run: policyChanges},
	{name: "a password beyond its session", belief: "without a deadline it may live on for its 12 hours, or not; with one it ends either way", slow: true, run: passwordBeyondSession},
}

func sessionpolicyPush(w *world, r repository) string {
	return sessionpolicy.Push(r.arn, w.now().Add(10*time.Minute))
}

func sessionpolicyPull(w *world, r repository) string {
	return sessionpolicy.Pull(r.arn, w.now().Add(10*time.Minute))
}

// code is AWS' code of an error, or the error.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// wants checks that an error has one of the codes.
func wants(err error, codes ...string) (string, error) {
	for _, want := range codes {
		if err != nil && code(err) == want {
			return want, nil
		}
	}
	return "", fmt.Errorf("got %s, want %s", code(err), strings.Join(codes, " or "))
}

// refuses checks that something which a neighbour may do is refused.
func refuses(what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s succeeds", what)
	case !refused(err):
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func sessionWithoutTag(ctx context.Context, w *world) (string, error) {
	_, err := w.clients.STS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &w.pull.arn, RoleSessionName: awssdk.String(namePrefix)})
	return wants(err, "AccessDenied", "AccessDeniedException")
}

func describeAfterCreate(ctx context.Context, w *world) (string, error) {
	extra := repository{project: "extra", name: sessionpolicy.RepositoryName(w.runner, "extra")}
	if err := w.makeRepository(ctx, &extra); err != nil {
		return "", err
	}
	began, tries := w.now(), 0
	err := w.until(ctx, func() error {
		tries++
		_, err := w.clients.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{extra.name}})
		return err
	})
	took := w.now().Sub(began)
	_, removeErr := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &extra.name, Force: true})
	return fmt.Sprintf("seen at look %d, after %s", tries, took.Round(time.Millisecond)), errors.Join(err, removeErr)
}

func packedSize(ctx context.Context, w *world) (string, error) {
	long := strings.Repeat("a", 110)
	arn := sessionpolicy.RepositoryARN(w.identity.Partition, w.clients.Region, w.identity.AccountID, sessionpolicy.RepositoryName(long, long))
	var seen []string
	for name, policy := range map[string]string{"pull": sessionpolicy.Pull(arn, w.now()), "push": sessionpolicy.Push(arn, w.now())} {
		out, err := w.assume(ctx, w.wide, long, policy)
		if err != nil {
			return "", err
		}
		seen = append(seen, fmt.Sprintf("%s: %d characters, %d%% of what a session token takes", name, len(policy), awssdk.ToInt32(out.SessionTokenUtilization)))
	}
	return strings.Join(seen, "; "), nil
}

func putOthersLayers(ctx context.Context, w *world) (string, error) {
	if _, err := w.publish(ctx, w.own, "others-layers"); err != nil {
		return "", err
	}
	return "the caller published layers that role " + w.push.name + " uploaded", nil
}

func noManifestWithUploadRights(ctx context.Context, w *world) (string, error) {
	p, err := newImage()
	if err != nil {
		return "", err
	}
	uploader, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.upload(ctx, w.own, uploader, p); err != nil {
		return "", fmt.Errorf("upload layers: %w", err)
	}
	return "layers are taken, the manifest is not", refuses("putting the manifest", w.putManifest(ctx, w.own, uploader, "no-manifest", p))
}

// readable publishes an image in both repositories, and makes sure that whoever may reads them.
func readable(ctx context.Context, w *world, tag string) error {
	for _, r := range []repository{w.own, w.other} {
		if err := w.open(ctx, r); err != nil {
			return err
		}
		if _, err := w.publish(ctx, r, tag); err != nil {
			return err
		}
		reader, err := w.login(ctx, w.wide, r.project, "")
		if err != nil {
			return err
		}
		if err := w.until(ctx, func() error { return w.pullManifest(ctx, r, reader, tag) }); err != nil {
			return fmt.Errorf("read an image that nothing protects: %w", err)
		}
	}
	return nil
}

func policyVariables(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "variables"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.pull, w.own.project, "")
	if err != nil {
		return "", err
	}
	if err := w.until(ctx, func() error { return w.pullManifest(ctx, w.own, reader, "variables") }); err != nil {
		return "", fmt.Errorf("read the tag's own repository: %w", err)
	}
	return "the tag's own repository is read, the other is not", refuses("reading the other repository", w.pullManifest(ctx, w.other, reader, "variables"))
}

func sessionPolicyThroughPassword(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "session-policy"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, sessionpolicyPull(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "session-policy"); err != nil {
		return "", fmt.Errorf("read the policy's own repository: %w", err)
	}
	return "the policy's own repository is read, the other is not", refuses("reading the other repository", w.pullManifest(ctx, w.other, reader, "session-policy"))
}

func denyBySessionTag(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "session-tag"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	for _, r := range []repository{w.own, w.other} {
		if err := w.protect(ctx, r, w.wide); err != nil {
			return "", err
		}
	}
	err = w.until(ctx, func() error {
		return refuses("reading the repository of another tag", w.pullManifest(ctx, w.other, reader, "session-tag"))
	})
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "session-tag"); err != nil {
		return "", fmt.Errorf("read the tag's own repository: %w", err)
	}
	return "the tag's own repository is read, the other is denied", errors.Join(w.open(ctx, w.own), w.open(ctx, w.other))
}

func deadlineThroughPassword(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "deadline"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, sessionpolicy.Pull(w.own.arn, w.now().Add(w.deadline)))
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "deadline"); err != nil {
		return "", fmt.Errorf("read before the deadline: %w", err)
	}
	if err := w.wait(ctx, w.deadline+2*time.Second); err != nil {
		return "", err
	}
	return "read before the deadline, refused after it", refuses("reading after the deadline", w.pullManifest(ctx, w.own, reader, "deadline"))
}

// policyWithoutForce sets the policy twice: the first must not shut out who sets the second.
func policyWithoutForce(ctx context.Context, w *world) (string, error) {
	for range 2 {
		if err := w.protect(ctx, w.own, w.pull); err != nil {
			return "", err
		}
	}
	out, err := w.clients.ECR.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &w.own.name})
	if err != nil {
		return "", errors.Join(fmt.Errorf("read the policy: %w", err), w.open(ctx, w.own))
	}
	for _, action := range []string{"ecr:PutImage", "ecr:UpdateImageStorageClass", "ecr:SetRepositoryPolicy", "ecr:TagResource", "ecr:BatchGetImage"} {
		if !strings.Contains(awssdk.ToString(out.PolicyText), action) {
			return "", errors.Join(fmt.Errorf("the policy that ECR returns lacks %s", action), w.open(ctx, w.own))
		}
	}
	return "taken twice and returned", w.open(ctx, w.own)
}

func tagImmutability(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.own, "immutable")
	if err != nil {
		return "", err
	}
	second, err := first.twin()
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "immutable", second), "ImageTagAlreadyExistsException")
}

func sameImageAgain(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "again")
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "again", p), "ImageAlreadyExistsException", "ImageTagAlreadyExistsException")
}

func missingLayers(ctx context.Context, w *world) (string, error) {
	p, err := newImage()
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "missing", p), "LayersNotFoundException")
}

func annotatedManifest(ctx context.Context, w *world) (string, error) {
	plain, err := w.publish(ctx, w.own, "plain")
	if err != nil {
		return "", err
	}
	annotated, err := plain.annotated()
	if err != nil {
		return "", err
	}
	if err := w.put(ctx, w.own, "annotated", annotated); err != nil {
		return "", err
	}
	out, err := w.clients.ECR.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &annotated.digest}}, AcceptedMediaTypes: []string{annotated.mediaType},
	})
	if err != nil {
		return "", err
	}
	if len(out.Images) != 1 || awssdk.ToString(out.Images[0].ImageManifest) != string(annotated.manifest) {
		return "", fmt.Errorf("BatchGetImage returns another manifest than was put")
	}
	return "the manifest, with its annotations", nil
}

// pushTime is when an image was pushed.
func (w *world) pushTime(ctx context.Context, digest string) (time.Time, error) {
	var at time.Time
	err := w.until(ctx, func() error {
		out, err := w.clients.ECR.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &digest}},
		})
		if err != nil {
			return err
		}
		at = awssdk.ToTime(out.ImageDetails[0].ImagePushedAt)
		return nil
	})
	return at, err
}

func pushAgeAfterRetag(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "age")
	if err != nil {
		return "", err
	}
	before, err := w.pushTime(ctx, p.digest)
	if err != nil {
		return "", err
	}
	if err := w.wait(ctx, 3*time.Second); err != nil {
		return "", err
	}
	if err := w.put(ctx, w.own, "age-2", p); err != nil {
		return "", fmt.Errorf("tag again: %w", err)
	}
	after, err := w.pushTime(ctx, p.digest)
	if err == nil && !after.Equal(before) {
		err = fmt.Errorf("the push time moved from %s to %s", before.UTC().Format(time.RFC3339), after.UTC().Format(time.RFC3339))
	}
	return "the push time stayed", err
}

func unreferencedLayers(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "referenced")
	if err != nil {
		return "", err
	}
	digest, err := p.image.ConfigName()
	if err != nil {
		return "", err
	}
	if _, err := w.clients.ECR.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: &w.own.name, LayerDigest: awssdk.String(digest.String())}); err != nil {
		return "", fmt.Errorf("the configuration of an image: %w", err)
	}
	loose, err := newImage()
	if err != nil {
		return "", err
	}
	uploader, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.upload(ctx, w.own, uploader, loose); err != nil {
		return "", err
	}
	if digest, err = loose.image.ConfigName(); err != nil {
		return "", err
	}
	_, err = w.clients.ECR.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: &w.own.name, LayerDigest: awssdk.String(digest.String())})
	return wants(err, "LayerInaccessibleException", "LayersNotFoundException")
}

func deleteThenPut(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.own, "replaced")
	if err != nil {
		return "", err
	}
	second, err := first.twin()
	if err != nil {
		return "", err
	}
	if _, err := wants(w.put(ctx, w.own, "replaced", second), "ImageTagAlreadyExistsException"); err != nil {
		return "", err
	}
	out, err := w.clients.ECR.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &first.digest}}})
	if err == nil && len(out.Failures) > 0 {
		err = fmt.Errorf("%s", out.Failures[0].FailureCode)
	}
	if err != nil {
		return "", fmt.Errorf("delete the first image: %w", err)
	}
	return "the second image has the tag", w.put(ctx, w.own, "replaced", second)
}

func policyChanges(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "changes"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "changes"); err != nil {
		return "", err
	}
	// The pull role's sessions are let in, and this reader is not one of them.
	if err := w.protect(ctx, w.own, w.pull); err != nil {
		return "", err
	}
	began := w.now()
	err = w.until(ctx, func() error { return refuses("reading", w.pullManifest(ctx, w.own, reader, "changes")) })
	shut := w.now().Sub(began)
	if err != nil {
		return "", err
	}
	if err := w.open(ctx, w.own); err != nil {
		return "", err
	}
	began = w.now()
	err = w.until(ctx, func() error { return w.pullManifest(ctx, w.own, reader, "changes") })
	return fmt.Sprintf("a denial acts after %s, its removal after %s", shut.Round(time.Millisecond), w.now().Sub(began).Round(time.Millisecond)), err
}

func passwordBeyondSession(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "beyond"); err != nil {
		return "", err
	}
	began := w.now()
	unlimited, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	limited, err := w.login(ctx, w.wide, w.own.project, sessionpolicy.Pull(w.own.arn, began.Add(15*time.Minute)))
	if err != nil {
		return "", err
	}
	for _, l := range []login{unlimited, limited} {
		if err := w.pullManifest(ctx, w.own, l, "beyond"); err != nil {
			return "", fmt.Errorf("read within the session: %w", err)
		}
	}
	if err := w.wait(ctx, 16*time.Minute); err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, limited, "beyond"); err == nil {
		return "", errors.New("a password with a deadline works after it")
	}
	says := unlimited.expires.Sub(began).Round(time.Minute)
	switch err := w.pullManifest(ctx, w.own, unlimited, "beyond"); {
	case err == nil:
		return fmt.Sprintf("it lives on: it says that it lasts %s, and works after its session of 15m0s", says), nil
	case isAnswer(err):
		return fmt.Sprintf("it ends with its session, though it says that it lasts %s", says), nil
	default:
		return "", err
	}
}

// isAnswer says whether the registry refused for who asked: by 401 or 403.
func isAnswer(err error) bool {
	var answered *registryError
	return errors.As(err, &answered) && (answered.status == http.StatusForbidden || answered.status == http.StatusUnauthorized)
}
