package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CredentialSecret returns the Docker configuration, as JSON, in a Secret that a status names.
func CredentialSecret(ctx context.Context, c client.Reader, namespace, name string) ([]byte, error) {
	secret := &corev1.Secret{}
	err := persist(ctx, func(ctx context.Context) error {
		return c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	content := secret.Data[corev1.DockerConfigJsonKey]
	if len(content) == 0 {
		return nil, fmt.Errorf("read credentials: secret %s has no %s", name, corev1.DockerConfigJsonKey)
	}
	return content, nil
}
