package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/sts"
)

// fieldManager is whose the fields are that the controllers apply.
const fieldManager = "imagecache-manager"

// secretTakenRetry is how long a pass waits when its Secret's name is taken; its removal wakes nobody.
const secretTakenRetry = 30 * time.Second

// credentialSecret is a Secret with one registry password, of the type kubernetes.io/dockerconfigjson.
type credentialSecret struct {
	name      string
	namespace string
	kind      string // v1alpha1.CredentialsPull or CredentialsPush
	project   string // the ProjectImageCache's name
	owner     *metav1ac.OwnerReferenceApplyConfiguration
	registry  string // host[:port] of the repository's URI
	password  *sts.Password
}

// apply writes the Secret, new or over an older password, without reading it. It does not force: a Secret of that name
// whose contents are somebody else's stays as it is.
func (s credentialSecret) apply(ctx context.Context, c client.Client) error {
	config, err := dockerConfig(s.registry, s.password)
	if err != nil {
		return err
	}
	secret := corev1ac.Secret(s.name, s.namespace).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy:   v1alpha1.ManagedBy,
			v1alpha1.LabelCredentials: s.kind,
			v1alpha1.LabelProject:     s.project,
		}).
		WithAnnotations(map[string]string{v1alpha1.AnnotationExpiresAt: s.password.ExpiresAt.UTC().Format(time.RFC3339)}).
		WithOwnerReferences(s.owner).
		WithType(corev1.SecretTypeDockerConfigJson).
		WithData(map[string][]byte{corev1.DockerConfigJsonKey: config})
	err = c.Apply(ctx, secret, client.FieldOwner(fieldManager))
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		return waitingf(v1alpha1.ReasonSecretNotOwned, secretTakenRetry,
			"the Secret %s is there and somebody else wrote it; remove it, so that credentials can be put in its place", s.name)
	}
	if err != nil {
		return fmt.Errorf("apply secret %s: %w", s.name, err)
	}
	return nil
}

// removeSecret deletes a credential Secret. One that is gone is success.
func removeSecret(ctx context.Context, c client.Client, namespace, name string) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := client.IgnoreNotFound(c.Delete(ctx, secret)); err != nil {
		return fmt.Errorf("delete secret %s: %w", name, err)
	}
	return nil
}

// dockerConfig is the contents of a Docker configuration file with one password.
func dockerConfig(registry string, password *sts.Password) ([]byte, error) {
	type entry struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     []byte `json:"auth"` // encoding/json writes bytes as base64, which is what the format wants
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

// ownedBy is an owner reference to an object, for the cluster's garbage collector.
func ownedBy(kind, name string, object metav1.Object) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind(kind).
		WithName(name).
		WithUID(object.GetUID()).
		WithController(true)
}
