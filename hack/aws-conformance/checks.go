package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"imagecache.dev/internal/sessionpolicy"
)

// check is one belief about AWS. run answers what was seen; an error says that the belief doesn't hold, or could not be
// checked.
type check struct {
	name, belief string
	slow, day    bool
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
	{name: "an archived image", belief: "BatchGetImage doesn't return an archived image, and its removal frees its tag", run: archivedImage},
	{name: "creation templates", belief: "no template changes what CreateRepository makes, and no upload right makes a repository by one", run: creationTemplates},
	{name: "a repository's tag on pulls", belief: "a condition on a repository's tag decides about pulls with a registry password", run: repositoryTagOnPull},
	{name: "the repository policy without force", belief: "ECR takes the policy of a project's repository without force, every action in it, and returns it", run: policyWithoutForce},
	{name: "how long policy changes take", belief: "a change of a repository's policy acts on registry passwords within two minutes", run: policyChanges},
	{name: "a password beyond its session", belief: "without a deadline it may live on for its 12 hours, or not; with one it ends either way", slow: true, run: passwordBeyondSession},
	{name: "expiry under the denial", belief: "ECR expires images although the repository's policy denies deletion to all but one principal", day: true, run: expiryUnderTheDenial},
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
