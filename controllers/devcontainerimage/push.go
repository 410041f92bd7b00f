package devcontainerimage

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/internal/sts"
)

// pushDuration is how long upload rights last: the shortest session that AWS gives
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, DurationSeconds).
const pushDuration = 15 * time.Minute

// pushSecretName is the Secret with a request's upload rights. It holds the UID, so that whoever chooses a request's name
// can't make the controller write or remove a Secret that is somebody else's.
func pushSecretName(image *v1alpha1.DevcontainerImage) string {
	return "imagecache-push-" + string(image.UID)
}

// grantPush makes upload rights for the project's repository: for layers alone, after the build has ended, and never
// twice for one report.
func (r *Reconciler) grantPush(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus) error {
	if p.runner.Status.PushRoleARN == "" {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the push role of runner %s is not ready", p.runner.Name)
	}
	target, err := r.Targets.Of(ctx, p.runner)
	if err != nil {
		return err
	}
	deadline := p.now.Add(pushDuration)
	password, err := r.Granter.Grant(ctx, target.Address, sts.Request{
		RoleARN:     p.runner.Status.PushRoleARN,
		SessionName: "push-" + p.image.Spec.EnvironmentID + "-" + p.image.Name,
		Project:     p.project.Spec.ProjectID,
		Policy:      sessionpolicy.Push(repository.ARN, deadline),
		Duration:    pushDuration,
	})
	if err != nil {
		return fmt.Errorf("grant upload rights: %w", err)
	}
	if password.ExpiresAt.After(deadline) {
		password.ExpiresAt = deadline
	}
	err = credentials.Secret{
		Name:      pushSecretName(p.image),
		Namespace: p.image.Namespace,
		Kind:      v1alpha1.CredentialsPush,
		Project:   p.project.Name,
		Owner:     credentials.OwnedBy("DevcontainerImage", p.image.Name, p.image),
		Registry:  credentials.RegistryHost(repository.URI),
		Password:  password,
	}.Apply(ctx, r.Client)
	if err != nil {
		return err
	}
	p.status.PushCredentials = &v1alpha1.CredentialReference{
		SecretName: pushSecretName(p.image),
		ExpiresAt:  metav1.NewTime(password.ExpiresAt.Truncate(time.Second)),
	}
	logFor(ctx, p)("Granted upload rights", "expiresAt", password.ExpiresAt)
	return nil
}

// removePushCredentials takes a request's upload rights away.
func (r *Reconciler) removePushCredentials(ctx context.Context, p *pass) error {
	if err := credentials.Remove(ctx, r.Client, p.image.Namespace, pushSecretName(p.image)); err != nil {
		return err
	}
	p.status.PushCredentials = nil
	return nil
}
