package credentials

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sts"
)

// Grant describes credentials for the repository of one project, and the Secret that keeps them.
type Grant struct {
	// What names the credentials in errors, such as "upload rights".
	What string
	// Kind is v1alpha1.CredentialsPull or v1alpha1.CredentialsPush.
	Kind       string
	Project    *v1alpha1.ProjectImageCache
	Repository *v1alpha1.RepositoryStatus

	// RoleARN is the role that the session assumes. SessionName may be any text.
	RoleARN     string
	SessionName string
	// Policy returns the session's policy: what it may do in a repository until a deadline.
	Policy   func(repositoryARN string, deadline time.Time) string
	Duration time.Duration

	// SecretName is the name of a Secret in the owner's namespace. The owner's removal removes the Secret.
	SecretName string
	OwnerKind  string
	Owner      client.Object
}

// Create creates credentials that last from now for the grant's duration, or shorter if AWS grants less, and stores
// them in the Secret. Credentials that the Secret held before stay valid until they expire. The reference has whole
// seconds, because the API has no fractions.
func (g Grant) Create(ctx context.Context, c client.Client, granter *sts.Granter, target aws.Target, now time.Time) (*v1alpha1.CredentialReference, error) {
	deadline := now.Add(g.Duration)
	password, err := granter.Grant(ctx, target, sts.Request{
		RoleARN:     g.RoleARN,
		SessionName: g.SessionName,
		Project:     g.Project.Spec.ProjectID,
		Policy:      g.Policy(g.Repository.ARN, deadline),
		Duration:    g.Duration,
	})
	if err != nil {
		return nil, fmt.Errorf("grant %s: %w", g.What, err)
	}
	if password.ExpiresAt.After(deadline) {
		password.ExpiresAt = deadline
	}
	if err := g.store(ctx, c, password); err != nil {
		return nil, err
	}
	return &v1alpha1.CredentialReference{
		SecretName: g.SecretName,
		ExpiresAt:  metav1.NewTime(password.ExpiresAt.Truncate(time.Second)),
	}, nil
}
