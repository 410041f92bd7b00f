package signingkeys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/provenance"
)

func newClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).Build()
}

// replica returns a reconciler of a cluster.
func replica(c client.Client, leads bool) *Reconciler {
	elected := make(chan struct{})
	if leads {
		close(elected)
	}
	return &Reconciler{Client: c, Secrets: c, Namespace: "system", Elected: elected, Keys: New(nil)}
}

// passes runs passes until the reconciler has nothing to wait for.
func (r *Reconciler) passes(t *testing.T) {
	t.Helper()
	for range 3 {
		_, _ = r.Reconcile(t.Context(), reconcile.Request{}) // the test looks at the keys
	}
}

func (r *Reconciler) ids() []string {
	set, _ := r.Keys.Latest()
	return idsOf(set)
}

func secretOf(t *testing.T, c client.Client) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: SecretName}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestReplicasShareOneKey(t *testing.T) {
	c := newClient(t)
	standby, first, second := replica(c, false), replica(c, true), replica(c, true)
	standby.passes(t)
	var list corev1.SecretList
	if err := c.List(t.Context(), &list); err != nil || len(list.Items) > 0 {
		t.Fatalf("a replica that does not lead made %d Secrets, %v", len(list.Items), err)
	}
	if _, err := standby.Keys.Current(); err == nil {
		t.Error("keys that nobody made are handed out")
	}
	for range 2 { // two leaders at once, as after a takeover: both find no Secret
		if err := first.create(t.Context()); err == nil {
			t.Error("a created key is used before it is read back")
		}
		_ = second.create(t.Context())
	}
	for _, r := range []*Reconciler{standby, first, second} {
		r.passes(t)
	}
	if ids := first.ids(); len(ids) != 1 || !slices.Equal(ids, second.ids()) || !slices.Equal(ids, standby.ids()) {
		t.Errorf("keys %v, %v, %v", first.ids(), second.ids(), standby.ids())
	}
}

func TestRotationKeepsTheEarlierKeyUntilItIsRemoved(t *testing.T) {
	c := newClient(t)
	leader, standby := replica(c, true), replica(c, false)
	leader.passes(t)
	before := leader.ids()
	secret := secretOf(t, c)
	secret.Annotations = map[string]string{v1alpha1.AnnotationRotate: "by Ada"}
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	standby.passes(t)
	if ids := standby.ids(); !slices.Equal(ids, before) {
		t.Errorf("a replica that does not lead rotated to %v", ids)
	}
	<-leader.Keys.Changed() // of the first read
	leader.passes(t)
	rotated := leader.ids()
	if len(rotated) != 2 || rotated[1] != before[0] || rotated[0] == before[0] {
		t.Fatalf("keys %v, before %v", rotated, before)
	}
	select {
	case <-leader.Keys.Changed():
	default:
		t.Error("no event tells of the rotation")
	}
	set, err := leader.Keys.Current()
	if err != nil || provenance.ShortID(set.Signer.Key().ID) != rotated[0] {
		t.Errorf("the earlier key signs: %v", err)
	}
	published := set.Published()
	if published[0].Use != v1alpha1.KeySigns || published[1].Use != v1alpha1.KeyVerifies {
		t.Errorf("published %+v", published)
	}
	secret = secretOf(t, c)
	if len(secret.Annotations) > 0 {
		t.Error("the annotation stays, so the next pass rotates again")
	}
	delete(secret.Data, before[0]+provenance.VerifySuffix)
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	leader.passes(t)
	if ids := leader.ids(); !slices.Equal(ids, rotated[:1]) {
		t.Errorf("keys %v after the revocation", ids)
	}
}

func TestBrokenSecretKeepsTheKeysThatWereRead(t *testing.T) {
	c := newClient(t)
	leader := replica(c, true)
	leader.passes(t)
	before := leader.ids()
	secret := secretOf(t, c)
	good := secret.Data[provenance.SigningEntry]
	for name, data := range map[string]map[string][]byte{
		"a broken key": {provenance.SigningEntry: []byte("secret-text")}, "no key that signs": {},
		"an unknown entry": {provenance.SigningEntry: good, "notes": nil},
	} {
		secret = secretOf(t, c)
		secret.Data = data
		if err := c.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		leader.passes(t)
		_, problem := leader.Keys.Latest()
		reason, message := outcome.Reason(problem)
		if problem == nil || reason != v1alpha1.ReasonSigningKeysNotReady || strings.Contains(message, "secret-text") {
			t.Errorf("%s: %s: %s", name, reason, message)
		}
		if !slices.Equal(leader.ids(), before) {
			t.Errorf("%s: keys %v", name, leader.ids())
		}
		fresh := replica(c, true)
		fresh.passes(t)
		if _, err := fresh.Keys.Current(); err == nil {
			t.Errorf("%s: a new manager has keys", name)
		}
	}
}

func TestKeyElsewhereSignsAndTheSecretsKeysVerify(t *testing.T) {
	c := newClient(t)
	remote, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("KMS is down")
	alone := replica(c, true)
	alone.Remote = func(context.Context) (provenance.Signer, error) { return nil, down }
	alone.passes(t)
	if _, problem := alone.Keys.Latest(); !errors.Is(problem, down) {
		t.Errorf("problem %v", problem)
	}
	alone.Remote = func(context.Context) (provenance.Signer, error) { return remote, nil }
	alone.passes(t)
	if ids := alone.ids(); !slices.Equal(ids, []string{remote.Key().ShortID()}) {
		t.Errorf("keys %v", ids)
	}
	local := replica(c, true)
	local.passes(t)
	alone.passes(t)
	if ids := alone.ids(); !slices.Equal(ids, append([]string{remote.Key().ShortID()}, local.ids()...)) {
		t.Errorf("keys %v; the Secret's key does not verify", ids)
	}
}
