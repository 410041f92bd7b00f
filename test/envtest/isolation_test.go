package envtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"go.uber.org/zap/zapcore"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/test/awsemulator"
)

// logBuffer is all that a manager logs, at every level.
type logBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

func (b *logBuffer) logger() logr.Logger {
	return zap.New(zap.WriteTo(b), zap.Level(zapcore.Level(-10)))
}

// suiteLogs is what the managers log that have no buffer of their own, and suiteAccounts the AWS accounts that there were.
var (
	suiteLogs     logBuffer
	suiteAccounts []*awsemulator.Server
)

// password is what registry passwords of the emulator look like.
var password = regexp.MustCompile(`[0-9a-f]{96}`)

// suiteCredentials counts the passwords of all accounts, and keys of sessions, in suiteLogs.
func suiteCredentials() int {
	issued := map[string]bool{}
	for _, account := range suiteAccounts {
		for _, password := range account.IssuedPasswords() {
			issued[password] = true
		}
	}
	logged, found := suiteLogs.String(), 0
	for _, word := range password.FindAllString(logged, -1) {
		if issued[word] {
			found++
		}
	}
	for _, key := range keysOfSessions {
		found += strings.Count(logged, key)
	}
	return found
}

// keysOfSessions is how the emulator's session keys and tokens begin. They never leave the controllers' memory.
var keysOfSessions = []string{`ASIA`, `IQoJ`}

// findNoCredentials looks for every password that the emulator issued, and for keys of sessions, in all that a manager
// logged, in metrics, and in every object of the test's namespace. Passwords may be in the controllers' Secrets alone.
// It runs at the end of every test that has a harness.
func (h *harness) findNoCredentials() {
	h.t.Helper()
	var needles []string
	for _, password := range h.aws.IssuedPasswords() {
		needles = append(needles, password, base64.StdEncoding.EncodeToString([]byte("AWS:"+password)))
	}
	search := func(where, content string, needles []string) {
		for _, needle := range needles {
			if strings.Contains(content, needle) {
				h.t.Errorf("a credential is in %s", where)
				return
			}
		}
	}
	everywhere := append(needles, keysOfSessions...)
	search("the manager's log", h.logs.String(), everywhere)
	families, err := metrics.Registry.Gather()
	if err != nil {
		h.t.Error(err)
	}
	search("metrics", fmt.Sprint(families), everywhere)
	for _, list := range []client.ObjectList{
		&v1alpha1.RunnerImageCacheList{}, &v1alpha1.ProjectImageCacheList{}, &v1alpha1.DevcontainerImageList{},
		&coordinationv1.LeaseList{}, &corev1.ConfigMapList{}, &corev1.EventList{}, &eventsv1.EventList{},
	} {
		if err := kube.List(context.Background(), list, client.InNamespace(h.namespace)); err != nil {
			h.t.Error(err)
		}
		content, err := json.Marshal(list)
		if err != nil {
			h.t.Error(err)
		}
		search(fmt.Sprintf("a %T", list), string(content), everywhere)
	}
	var secrets corev1.SecretList
	if err := kube.List(context.Background(), &secrets, client.InNamespace(h.namespace)); err != nil {
		h.t.Error(err)
	}
	for _, secret := range secrets.Items {
		ours := secret.Labels[v1alpha1.LabelCredentials] != "" && secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && metav1.GetControllerOf(&secret) != nil
		for key, content := range secret.Data {
			search("Secret "+secret.Name, string(content), keysOfSessions)
			if !ours || key != corev1.DockerConfigJsonKey {
				search("Secret "+secret.Name, string(content), needles)
			}
		}
		secret.Data = nil
		content, err := json.Marshal(secret)
		if err != nil {
			h.t.Error(err)
		}
		search("what Secret "+secret.Name+" says beside its contents", string(content), everywhere)
	}
}

// TestCredentialsAreFoundWhereTheyAre makes sure that the search can fail.
func TestCredentialsAreFoundWhereTheyAre(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	issued := h.aws.IssuedPasswords()
	h.Expect(password.FindString(issued[0])).To(Equal(issued[0]), "passwords of the emulator look as suiteCredentials expects")
	h.Expect(len(issued)).To(BeNumerically(">=", 2), "one to push and one to pull")
	h.Expect(h.logs.String()).To(ContainSubstring("Granted upload rights"), "the log is searched")
	leak := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "leak"}, Data: map[string]string{"x": issued[0]}}
	h.create(leak)
	recorded := &testing.T{}
	searched := *h
	searched.t = recorded
	searched.findNoCredentials()
	h.Expect(recorded.Failed()).To(BeTrue())
	h.Expect(kube.Delete(h.ctx, leak)).To(Succeed())
}

func TestSecretsAreLabelledOwnedAndRemovedWithTheirObject(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	h.condition(project, v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue)
	for kind, owner := range map[string]client.Object{v1alpha1.CredentialsPush: e.request, v1alpha1.CredentialsPull: project} {
		names := h.secrets(kind)
		h.Expect(names).To(HaveLen(1), kind)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: names[0]}}
		h.Expect(h.refresh(secret)).To(Succeed())
		h.Expect(secret.Type).To(Equal(corev1.SecretTypeDockerConfigJson))
		h.Expect(secret.Labels).To(HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
		h.Expect(secret.Labels).To(HaveKeyWithValue(v1alpha1.LabelProject, "shop"))
		h.Expect(secret.Annotations).To(HaveKey(v1alpha1.AnnotationExpiresAt))
		h.Expect(metav1.IsControlledBy(secret, owner)).To(BeTrue(), kind)
		h.Expect(secret.Data).To(HaveLen(1))
	}
	h.Expect(kube.Delete(h.ctx, e.request)).To(Succeed())
	h.Eventually(func() []string { return h.secrets(v1alpha1.CredentialsPush) }).Should(BeEmpty())
	h.Expect(kube.Delete(h.ctx, project)).To(Succeed())
	h.Eventually(func() []string { return h.secrets(v1alpha1.CredentialsPull) }).Should(BeEmpty())
}

// recorder notes how a manager reads Secrets.
type recorder struct {
	next http.RoundTripper

	mu    sync.Mutex
	reads []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	ofKeys := strings.Contains(request.URL.RawQuery, "fieldSelector=metadata.name%3D"+signingkeys.SecretName)
	if request.Method == http.MethodGet && strings.Contains(request.URL.Path, "/secrets") && !ofKeys {
		r.mu.Lock()
		r.reads = append(r.reads, request.Header.Get("Accept"))
		r.mu.Unlock()
	}
	return r.next.RoundTrip(request)
}

// TestManagerReadsOnlyMetadataOfSecrets takes an image from miss to hit and rotates the signing key with a manager that
// has no right but its roles', and looks at how it reads Secrets. It reads the one Secret of the signing keys as a whole.
func TestManagerReadsOnlyMetadataOfSecrets(t *testing.T) {
	install(t, "rbac/role.yaml")
	h := newHarness(t)
	h.stop()
	user := serviceAccountUser(h.namespace, "manager")
	bind(t, h.namespace, "imagecache-manager", user)
	h.installKeysRole("manager")
	clusterWide := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "imagecache-manager"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	h.Expect(kube.Create(h.ctx, clusterWide)).To(Succeed())
	t.Cleanup(func() { _ = kube.Delete(context.Background(), clusterWide) }) // the API server goes too
	reads := &recorder{}
	h.config = rest.CopyConfig(restConfig)
	h.config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	h.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		reads.next = next
		return reads
	})
	manager, err := client.New(h.config, client.Options{Scheme: scheme})
	h.Expect(err).NotTo(HaveOccurred())
	h.Eventually(func() error {
		return manager.Get(h.ctx, client.ObjectKey{Name: "kube-system"}, &corev1.Namespace{})
	}).Should(Succeed())
	h.startManager()

	h.runner("demo")
	project := h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	hit := h.ask("shop", "e-2", hashOf("a"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	hit.pull()
	runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	h.editKeys(runner, 2, func(s *corev1.Secret) { s.Annotations = map[string]string{v1alpha1.AnnotationRotate: "Ada"} })
	h.Expect(apierrors.IsForbidden(manager.Get(h.ctx, client.ObjectKey{Namespace: h.namespace, Name: project.Name + "-pull"}, &corev1.Secret{}))).To(BeTrue())
	reads.mu.Lock()
	defer reads.mu.Unlock()
	metadata := 0
	for _, accept := range reads.reads {
		if strings.Contains(accept, "as=PartialObjectMetadata") {
			metadata++
		}
	}
	h.Expect(metadata).To(BeNumerically(">=", 1), "a watch, which lists too")
	h.Expect(len(reads.reads)-metadata).To(Equal(1), "the only other read is the one of this test, which was refused")
	h.Expect(h.logs.String()).NotTo(ContainSubstring("is forbidden"), "the manager's role suffices")
}

// TestRunnerOfOneNamespaceReachesNoOther tries every verb on what the cache is made of.
func TestRunnerOfOneNamespaceReachesNoOther(t *testing.T) {
	install(t, "rbac/runner_role.yaml")
	home, other := ownNamespace(t), ownNamespace(t)
	user := serviceAccountUser(home, "runner")
	bind(t, home, "imagecache-runner", user)
	eventually(t, func(context.Context) error {
		if !may(t, user, home, right{"get", "", "secrets", ""}) {
			return fmt.Errorf("the role does not act yet")
		}
		return nil
	})
	for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
		if may(t, user, home, right{verb, "", "secrets", ""}) {
			t.Errorf("a runner may %s Secrets of its own namespace", verb)
		}
	}
	for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "report"} {
		for _, resource := range []right{
			{verb, "", "secrets", ""}, {verb, "coordination.k8s.io", "leases", ""}, {verb, "imagecache.dev", "devcontainerimages", ""},
			{verb, "imagecache.dev", "devcontainerimages", "status"}, {verb, "imagecache.dev", "projectimagecaches", ""}, {verb, "imagecache.dev", "runnerimagecaches", ""},
		} {
			if may(t, user, other, resource) {
				t.Errorf("a runner may %s in another namespace", resource)
			}
		}
	}
}
