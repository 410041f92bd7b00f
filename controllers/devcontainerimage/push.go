package devcontainerimage

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/sessionpolicy"
)

// pushDuration is how long upload rights last: the shortest session that AWS grants
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, DurationSeconds).
const pushDuration = 15 * time.Minute

// pushSecretName returns the name of the Secret with a request's upload rights. It contains the UID, so that a client
// that chooses a request's name can't make the controller write or remove another client's Secret.
func pushSecretName(image *v1alpha1.DevcontainerImage) string {
	return "imagecache-push-" + string(image.UID)
}

// grantPush creates upload rights for the project's repository, or replaces those that end soon. They allow only the
// upload of layers, begin after the build has ended, and last at most pushDuration.
func (r *Reconciler) grantPush(
	ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus, lasts time.Duration,
) error {
	if p.runner.Status.PushRoleARN == "" {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the push role of runner %s is not ready", p.runner.Name)
	}
	target, err := r.Targets.Of(ctx, p.runner)
	if err != nil {
		return err
	}
	granted, err := credentials.Grant{
		What:        "upload rights",
		Kind:        v1alpha1.CredentialsPush,
		Project:     p.project,
		Repository:  repository,
		RoleARN:     p.runner.Status.PushRoleARN,
		SessionName: "push-" + p.image.Spec.EnvironmentID + "-" + p.image.Name,
		Policy:      sessionpolicy.Push,
		Duration:    lasts,
		SecretName:  pushSecretName(p.image),
		OwnerKind:   "DevcontainerImage",
		Owner:       p.image,
	}.Create(ctx, r.Client, r.Granter, target.Address, p.awsNow)
	if err != nil {
		return err
	}
	r.rights.add(p.image, granted)
	p.status.PushCredentials = granted
	log.FromContext(ctx).Info("Granted upload rights", "configHash", p.status.ConfigHash, "expiresAt", granted.ExpiresAt.Time)
	return nil
}

// removePushCredentials removes a request's upload rights, once in a pass.
func (r *Reconciler) removePushCredentials(ctx context.Context, p *pass) error {
	if p.pushRemoved {
		return nil
	}
	if err := credentials.Remove(ctx, r.Client, p.image.Namespace, pushSecretName(p.image)); err != nil {
		return err
	}
	r.rights.forget(p.image)
	p.pushRemoved, p.status.PushCredentials = true, nil
	return nil
}
