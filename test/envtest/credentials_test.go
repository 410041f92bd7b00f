package envtest

import (
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dockerconfig"
)

// pullSecretOf waits for a project's pull Secret.
func (h *harness) pullSecretOf(project *v1alpha1.ProjectImageCache) *corev1.Secret {
	h.t.Helper()
	h.condition(project, v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: project.Status.PullCredentials.SecretName}}
	h.Expect(h.refresh(secret)).To(Succeed())
	return secret
}

// works says whether a registry password of a Secret pulls an image.
func (e *environment) works(secret *corev1.Secret) error {
	logins, err := dockerconfig.Logins(secret.Data[corev1.DockerConfigJsonKey])
	if err != nil {
		return err
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: logins[0].Username, Password: logins[0].Password})
	_, err = remote.Head(e.repository().Digest(e.request.Status.Image.Digest), remote.WithAuth(auth))
	return err
}

// TestPullCredentialsAreReplacedInPlace follows the Secret over a refresh: one object all along, with a password that
// works at every moment.
func TestPullCredentialsAreReplacedInPlace(t *testing.T) {
	h, clock := timedHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	e := h.ask("shop", "e-1", hashOf("a"))
	e.publish()
	e.finished()
	first := h.pullSecretOf(project)
	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	h.Expect(err).NotTo(HaveOccurred())
	stream, err := watcher.Watch(h.ctx, &corev1.SecretList{}, client.InNamespace(h.namespace), client.MatchingLabels{v1alpha1.LabelCredentials: v1alpha1.CredentialsPull})
	h.Expect(err).NotTo(HaveOccurred())
	defer stream.Stop()

	granted := h.aws.Calls().Count("sts:AssumeRole")
	h.pass(clock, 35*time.Minute)
	h.ask("shop", "e-2", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Consistently(func() int { return h.aws.Calls().Count("sts:AssumeRole") }).WithTimeout(300*time.Millisecond).Should(Equal(granted), "before 60 % of their life they stay")
	h.pass(clock, 8*time.Minute)
	h.Expect(e.works(first)).To(Succeed(), "the old password works until its end")
	h.ask("shop", "e-3", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Eventually(func() string {
		_ = h.refresh(project)
		return project.Status.PullCredentials.ExpiresAt.UTC().Format(time.RFC3339)
	}).
		Should(Equal(clock.Now().Add(time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)))
	second := h.pullSecretOf(project)
	h.Expect(second.UID).To(Equal(first.UID), "updated in place")
	h.Expect(second.Data).NotTo(Equal(first.Data))
	h.Expect(h.aws.Calls().Count("sts:AssumeRole")).To(Equal(granted+1), "one grant for all who ask")
	for seen := first.ResourceVersion; seen != second.ResourceVersion; {
		event := <-stream.ResultChan()
		h.Expect(event.Type).NotTo(Equal(watch.Deleted))
		secret := event.Object.(*corev1.Secret)
		h.Expect(e.works(secret)).To(Succeed())
		seen = secret.ResourceVersion
	}
}

// TestNobodyAsksNothingIsGranted lets a project's credentials run out: they are removed, and no more is asked of AWS.
func TestNobodyAsksNothingIsGranted(t *testing.T) {
	h, clock := timedHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	h.Expect(project.Status.PullCredentials).To(BeNil(), "before the first environment asks there are none")
	e := h.ask("shop", "e-1", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) { s.TTLSecondsAfterFinished = ptrTo(int32(0)) })
	e.publish()
	secret := h.pullSecretOf(project)
	h.stop()
	h.aws.Calls().Reset()
	h.pass(clock, 25*time.Hour)
	h.startManager()
	h.Eventually(func() error { return h.refresh(secret) }).ShouldNot(Succeed())
	h.Eventually(func() *v1alpha1.CredentialReference { _ = h.refresh(project); return project.Status.PullCredentials }).Should(BeNil())
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")).To(BeZero())
}

// TestSecretOfSomebodyElseIsLeftAlone puts a Secret where the pull credentials go.
func TestSecretOfSomebodyElseIsLeftAlone(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	mine := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-pull"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`},
	}
	h.create(mine)
	h.ask("shop", "e-1", hashOf("a"))
	h.reason(project, v1alpha1.ConditionPullCredentialsReady, v1alpha1.ReasonSecretNotOwned)
	h.Expect(h.refresh(mine)).To(Succeed())
	h.Expect(string(mine.Data[corev1.DockerConfigJsonKey])).To(Equal(`{"auths":{}}`))
	h.Expect(mine.Labels).NotTo(HaveKey(v1alpha1.LabelCredentials))
}

// TestRevokedSessionsEndAndAreReplaced does what docs/security.md says for a credential that leaked.
func TestRevokedSessionsEndAndAreReplaced(t *testing.T) {
	h, clock := timedHarness(t)
	demo := h.runner("demo")
	project := h.project("shop", "demo")
	e := h.ask("shop", "e-1", hashOf("a"))
	e.publish()
	e.finished()
	leaked := h.pullSecretOf(project)
	h.Expect(e.works(leaked)).To(Succeed())

	h.pass(clock, time.Minute)
	name := demo.Status.PullRoleARN[len("arn:aws:iam::123456789012:role/"):]
	account := iam.NewFromConfig(awssdk.Config{
		Region: h.aws.Region(), BaseEndpoint: awssdk.String(h.aws.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(h.aws.AccessKeyID(), h.aws.SecretAccessKey(), ""),
	})
	_, err := account.PutRolePolicy(h.ctx, &iam.PutRolePolicyInput{
		RoleName: &name, PolicyName: awssdk.String("AWSRevokeOlderSessions"),
		PolicyDocument: awssdk.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"` +
			clock.Now().UTC().Format("2006-01-02T15:04:05.000Z") + `"}}}]}`),
	})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(e.works(leaked)).NotTo(Succeed(), "the leaked password")
	h.pass(clock, time.Minute)
	h.Expect(kube.Delete(h.ctx, leaked)).To(Succeed())
	h.Eventually(func() error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: leaked.Name}}
		if err := h.refresh(secret); err != nil {
			return err
		}
		return e.works(secret)
	}).Should(Succeed())

	// The revocation does not keep the role.
	h.Expect(kube.Delete(h.ctx, project)).To(Succeed())
	h.Expect(kube.Delete(h.ctx, demo)).To(Succeed())
	h.Eventually(func() error { return h.refresh(demo) }).ShouldNot(Succeed())
	_, err = account.GetRole(h.ctx, &iam.GetRoleInput{RoleName: &name})
	h.Expect(err).To(HaveOccurred())
}

func TestPullSecretThatWasRemovedWhileNoManagerRanIsMadeAgain(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	e := h.ask("shop", "e-1", hashOf("a"))
	e.publish()
	e.finished()
	secret := h.pullSecretOf(project)
	h.stop()
	h.Expect(kube.Delete(h.ctx, secret)).To(Succeed())
	h.startManager()
	h.Eventually(func() error { return h.refresh(secret) }).Should(Succeed())
	h.Expect(e.works(secret)).To(Succeed())
}

// TestCacheThatIsSwitchedOffDuringABuildPublishesNothing switches off while one environment builds and another uploads.
func TestCacheThatIsSwitchedOffDuringABuildPublishesNothing(t *testing.T) {
	h := newHarness(t)
	demo := h.runner("demo")
	h.project("shop", "demo")
	uploads, builds := h.builder("shop", "uploads", hashOf("a")), h.builder("shop", "builds", hashOf("b"))
	uploads.report()
	uploads.granted()
	h.Expect(mergePatch(t, kube, demo, `{"spec":{"tier":"Enterprise","cache":"Disabled"}}`)).To(Succeed())
	uploads.reason(uploads.request, v1alpha1.ConditionPublished, v1alpha1.ReasonCacheDisabled)
	h.Eventually(func() []string { return h.secrets(v1alpha1.CredentialsPush) }).Should(BeEmpty())
	builds.report()
	builds.reason(builds.request, v1alpha1.ConditionPublished, v1alpha1.ReasonCacheDisabled)
	builds.finished()
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero())
}
