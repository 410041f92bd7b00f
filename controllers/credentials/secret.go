// Package credentials creates registry passwords and keeps them in Secrets.
package credentials

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/sts"
)

// fieldManager is the field manager of what the controllers apply.
const fieldManager = "imagecache-manager"

// secretTakenRetry is how long a pass waits when another client's Secret has the name. Its removal wakes no
// reconciler.
const secretTakenRetry = 30 * time.Second

// store creates the Secret or replaces an older password, without reading it first. It does not force: a Secret of
// that name whose contents another client wrote stays unchanged.
func (g Grant) store(ctx context.Context, c client.Client, password *sts.Password) error {
	registry, _, _ := strings.Cut(g.Repository.URI, "/") // host[:port]
	config, err := dockerConfig(registry, password)
	if err != nil {
		return err
	}
	secret := corev1ac.Secret(g.SecretName, g.Owner.GetNamespace()).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy:   v1alpha1.ManagedBy,
			v1alpha1.LabelCredentials: g.Kind,
			v1alpha1.LabelProject:     g.Project.Name,
		}).
		WithAnnotations(map[string]string{v1alpha1.AnnotationExpiresAt: password.ExpiresAt.UTC().Format(time.RFC3339)}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).
			WithKind(g.OwnerKind).
			WithName(g.Owner.GetName()).
			WithUID(g.Owner.GetUID()).
			WithController(true)).
		WithType(corev1.SecretTypeDockerConfigJson).
		WithData(map[string][]byte{corev1.DockerConfigJsonKey: config})
	err = c.Apply(ctx, secret, client.FieldOwner(fieldManager))
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		return outcome.Waitingf(v1alpha1.ReasonSecretNotOwned, secretTakenRetry,
			"Secret %s exists and another client wrote it; remove it, so that the controller can store the credentials", g.SecretName)
	}
	if err != nil {
		return fmt.Errorf("apply secret %s: %w", g.SecretName, err)
	}
	return nil
}

// Remove deletes a credential Secret. It succeeds if the Secret does not exist.
func Remove(ctx context.Context, c client.Client, namespace, name string) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := client.IgnoreNotFound(c.Delete(ctx, secret)); err != nil {
		return fmt.Errorf("delete secret %s: %w", name, err)
	}
	return nil
}

// dockerConfig returns a Docker configuration file with one password.
func dockerConfig(registry string, password *sts.Password) ([]byte, error) {
	type entry struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     []byte `json:"auth"` // encoding/json writes bytes as base64, as the format requires
	}
	config := map[string]map[string]entry{"auths": {registry: {
		Username: password.Username,
		Password: password.Password,
		Auth:     []byte(password.Username + ":" + password.Password),
	}}}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write docker configuration: %w", err)
	}
	return content, nil
}
