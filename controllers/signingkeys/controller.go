package signingkeys

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/provenance"
)

// SecretName is the name of the Secret that holds the keys, in the manager's namespace.
const SecretName = "imagecache-signing-keys"

// Reconciler keeps Keys equal to the Secret. It runs in every replica, so that the next leader knows the keys before it
// leads. Only the leader creates and rotates keys.
type Reconciler struct {
	Client client.Client
	// Secrets reads the Secret from a cache that holds nothing else.
	Secrets   client.Reader
	Namespace string
	// Elected is closed when this replica leads.
	Elected <-chan struct{}
	// Remote returns a signer whose key is not in the Secret. Nil means that the Secret has the key. It is called until
	// it succeeds.
	Remote func(ctx context.Context) (provenance.Signer, error)
	Keys   *Keys

	remote provenance.Signer
}

// Reconcile reads the keys, and creates or rotates them if that is due.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
	set, err := r.read(ctx)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return outcome.Result(ctx, outcome.Waitingf(v1alpha1.ReasonProgressing, outcome.ConflictRetry, "the cache does not show the Secret yet"), 0)
	}
	var waiting *outcome.WaitingError
	if errors.As(err, &waiting) && waiting.Reason == v1alpha1.ReasonProgressing {
		return outcome.Result(ctx, err, 0)
	}
	if r.Keys.set(set, err) {
		log.FromContext(ctx).Info("Read the signing keys", "keys", idsOf(set), "problem", messageOf(err))
	}
	return outcome.Result(ctx, err, 0)
}

// read returns the keys as they are to be used now.
func (r *Reconciler) read(ctx context.Context) (*Set, error) {
	secret := &corev1.Secret{}
	err := r.Secrets.Get(ctx, r.key(), secret)
	switch {
	case apierrors.IsNotFound(err):
		if r.Remote == nil {
			return nil, r.create(ctx)
		}
		secret.Data = nil
	case err != nil:
		return nil, r.problem(fmt.Errorf("read the Secret: %w", err))
	}
	if _, rotate := secret.Annotations[v1alpha1.AnnotationRotate]; rotate && r.Remote == nil {
		if err := r.rotate(ctx, secret.DeepCopy()); err != nil {
			return nil, err
		}
	}
	stored, err := provenance.ParseKeySet(secret.Data)
	if err != nil {
		return nil, r.problem(err)
	}
	if r.Remote != nil {
		return r.withRemote(ctx, stored)
	}
	if stored.Signer == nil {
		return nil, r.problem(errors.New("it has no entry " + provenance.SigningEntry +
			"; restore the entry, or delete the Secret: the leader then makes a new key, and all cached images are misses"))
	}
	return NewSet(stored.Signer, stored.Others...), nil
}

// withRemote returns the keys with a signer that is not in the Secret. All keys of the Secret verify: they signed
// before.
func (r *Reconciler) withRemote(ctx context.Context, stored *provenance.KeySet) (*Set, error) {
	if r.remote == nil {
		remote, err := r.Remote(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the signing key: %w", err)
		}
		r.remote = remote
	}
	return NewSet(r.remote, stored.Keys()...), nil
}

// create makes the Secret with a new key. Of several replicas one succeeds, and the others read what it made.
func (r *Reconciler) create(ctx context.Context) error {
	if !r.leads() {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "the leader creates the signing key")
	}
	entries, err := provenance.NewKeySet()
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: SecretName, Labels: map[string]string{"app.kubernetes.io/name": "imagecache"}},
		Type:       corev1.SecretTypeOpaque,
		Data:       entries,
	}
	if err := r.Client.Create(ctx, secret); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return err
		}
		return r.problem(fmt.Errorf("create it: %w", err))
	}
	log.FromContext(ctx).Info("Created the signing key")
	return outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "the cache does not show the new Secret yet")
}

// rotate replaces the key that signs, and changes secret to what was written. It fails with a conflict if the Secret
// changed since it was read.
func (r *Reconciler) rotate(ctx context.Context, secret *corev1.Secret) error {
	if !r.leads() {
		return nil // the earlier keys are valid until the leader has rotated them
	}
	entries, err := provenance.Rotate(secret.Data)
	if err != nil {
		return r.problem(fmt.Errorf("rotate the key: %w", err))
	}
	secret.Data = entries
	delete(secret.Annotations, v1alpha1.AnnotationRotate)
	if err := r.Client.Update(ctx, secret); err != nil {
		if apierrors.IsConflict(err) {
			return err
		}
		return r.problem(fmt.Errorf("rotate the key: %w", err))
	}
	log.FromContext(ctx).Info("Rotated the signing key")
	return outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "the cache does not show the new key yet")
}

func (r *Reconciler) leads() bool {
	select {
	case <-r.Elected:
		return true
	default:
		return false
	}
}

func (r *Reconciler) key() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: SecretName}
}

// problem returns an error for people. A change of the Secret ends it, and some problems end by themselves.
func (r *Reconciler) problem(err error) error {
	const retry = 10 * time.Second
	return outcome.Waitingf(v1alpha1.ReasonSigningKeysNotReady, retry, "the signing keys in Secret %s/%s can't be used: %s", r.Namespace, SecretName, err)
}

func idsOf(set *Set) []string {
	var ids []string
	for _, key := range set.Published() {
		ids = append(ids, provenance.ShortID(key.ID))
	}
	return ids
}
