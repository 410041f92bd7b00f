package envtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/sessionpolicy"
)

// battlefield is a world in which the controllers run as a role of their own, with two projects that have an image
// each, and a builder who has upload rights and does not use them.
type battlefield struct {
	*harness
	lab            *lab
	account        *cloud
	clock          *clocktesting.FakePassiveClock
	shop, payments string // repositories
	builder        *environment
}

func newBattlefield(t *testing.T) *battlefield {
	t.Helper()
	account := startCloud(t, battleground, allowAll)
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w := &battlefield{
		harness: newWorld(t, account),
		lab:     &lab{cloud: account, controller: "arn:aws:iam::" + account.AccountID() + ":role/imagecache-controller"},
		account: account, clock: clock,
	}
	w.settings.Clock, w.settings.AssumeRoles = clock, []string{w.namespace + "=" + w.roleARN(lentRole)}
	w = w.of(t)
	w.startManager()
	t.Cleanup(func() { w.stop() })
	w.runner("demo")
	for _, project := range []string{"shop", "payments"} {
		w.project(project, "demo")
		w.ask(project, "first-of-"+project, hashOf("shop")).publish()
	}
	w.shop, w.payments = w.repositoryOf("shop"), w.repositoryOf("payments")
	w.builder = w.ask("shop", "builder", hashOf("builder"))
	w.builder.role(v1alpha1.RoleBuilder)
	w.builder.build()
	w.builder.report()
	w.builder.granted()
	return w
}

// of is the same world in the hands of another test.
func (w *battlefield) of(t *testing.T) *battlefield {
	t.Helper()
	inner := *w.harness
	inner.WithT, inner.t, inner.ctx = NewWithT(t), t, t.Context()
	inner.SetDefaultEventuallyTimeout(patience)
	inner.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	w.lab.t = t
	copied := *w
	copied.harness = &inner
	return &copied
}

func (w *battlefield) repositoryOf(project string) string {
	w.t.Helper()
	object := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: project}}
	w.Expect(w.refresh(object)).To(Succeed())
	return object.Status.Repository.Name
}

// real is an attacker who has what the controllers hand out to the project shop.
func (w *battlefield) real(purpose sessionpolicy.Purpose) *attacker {
	w.t.Helper()
	a := &attacker{lab: w.lab, own: w.shop, other: w.payments, hash: hashOf("shop")}
	secret := w.builder.request.Status.PushCredentials
	if purpose == sessionpolicy.PurposePull {
		project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
		w.Expect(w.refresh(project)).To(Succeed())
		secret = project.Status.PullCredentials
	}
	a.auth = w.passwordIn(secret.SecretName)
	a.api = w.lab.apiWithPassword(a.auth)
	return a
}

// passwordIn reads a credential Secret.
func (h *harness) passwordIn(secretName string) authn.AuthConfig {
	h.t.Helper()
	content, err := cluster.CredentialSecret(h.ctx, kube, h.namespace, secretName)
	h.Expect(err).NotTo(HaveOccurred())
	logins, err := dockerconfig.Logins(content)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(logins).To(HaveLen(1))
	return authn.AuthConfig{Username: logins[0].Username, Password: logins[0].Password}
}

// builds takes a request to the end of its build.
func (w *battlefield) builds(project, environment string, edit ...func(*v1.ConfigFile)) *environment {
	w.t.Helper()
	e := w.ask(project, environment, hashOf(environment))
	e.role(v1alpha1.RoleBuilder)
	e.build(edit...)
	return e
}

// images counts the images of a repository.
func (w *battlefield) images(repository string) int {
	w.t.Helper()
	out, err := w.account.ecr.DescribeImages(w.ctx, &ecr.DescribeImagesInput{RepositoryName: &repository})
	w.Expect(err).NotTo(HaveOccurred())
	return len(out.ImageDetails)
}

func assumePushRole(t *testing.T, w *battlefield) []string {
	t.Helper()
	keys := w.lab.session(w.lab.makeRole(t, "climber", wide), "-", wide)
	assume := func(role string) error {
		_, err := sts.NewFromConfig(w.lab.as(keys)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
			RoleArn: &role, RoleSessionName: awssdk.String("climber"),
			Tags: []ststypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: awssdk.String("shop")}},
		})
		return err
	}
	w.Expect(assume(w.lab.makeRole(t, "trusts-the-account", wide))).To(Succeed())
	demo := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	w.Expect(w.refresh(demo)).To(Succeed())
	for _, role := range []string{demo.Status.PushRoleARN, demo.Status.PullRoleARN} {
		w.stopped(assume(role), "not authorized to perform: sts:")
	}
	return []string{"the roles' trust in the controller alone"}
}

func uploadRightsDuringBuild(t *testing.T, w *battlefield) []string {
	t.Helper()
	e := w.builds("shop", "curious")
	find := func() []string {
		var found []string
		var secrets corev1.SecretList
		w.Expect(kube.List(w.ctx, &secrets, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.LabelCredentials: v1alpha1.CredentialsPush})).To(Succeed())
		for _, secret := range secrets.Items {
			if metav1.IsControlledBy(&secret, e.request) {
				found = append(found, secret.Name)
			}
		}
		return found
	}
	during := find()
	tokens := w.account.Calls().Count("ecr:GetAuthorizationToken")
	e.report()
	e.granted()
	w.Expect(find()).NotTo(BeEmpty(), "after the report there are upload rights")
	w.Expect(w.account.Calls().Count("ecr:GetAuthorizationToken")).To(BeNumerically(">", tokens))
	w.Expect(during).To(BeEmpty())
	return []string{"a grant only once the build is over and its report was checked"}
}

// published runs a builder to its end, with or without what should make the controller refuse.
func published(w *battlefield, e *environment) string {
	w.t.Helper()
	e.report()
	w.Eventually(func() bool {
		w.Expect(w.refresh(e.request)).To(Succeed())
		return e.request.Status.PushCredentials != nil || e.request.Status.FinishedAt != nil
	}).Should(BeTrue())
	if e.request.Status.FinishedAt == nil {
		e.upload()
	}
	e.finished()
	for _, condition := range e.request.Status.Conditions {
		if condition.Type == v1alpha1.ConditionPublished {
			return condition.Reason
		}
	}
	return ""
}

func reportAnotherHash(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.Expect(published(w, w.builds("shop", "honest-hash"))).To(Equal(v1alpha1.ReasonPublished))
	images := w.images(w.shop)
	e := w.builds("shop", "liar-hash", func(c *v1.ConfigFile) { c.Config.Labels[imagelabel.Hash] = hashOf("shop") })
	w.Expect(published(w, e)).To(Equal(v1alpha1.ReasonLabelMismatch))
	w.Expect(w.images(w.shop)).To(Equal(images))
	return []string{"the check of the image's hash label", "the hash of PutImage is the request's"}
}

func reportAnothersImage(t *testing.T, w *battlefield) []string {
	t.Helper()
	honest := w.builds("shop", "honest-image")
	w.Expect(published(w, honest)).To(Equal(v1alpha1.ReasonPublished))
	thief := w.ask("shop", "thief", hashOf("thief"))
	thief.role(v1alpha1.RoleBuilder)
	thief.image = honest.image
	w.Expect(published(w, thief)).To(Equal(v1alpha1.ReasonLabelMismatch))
	return []string{"the check of the image's labels of hash and UID"}
}

func publishFromRebuild(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.Expect(published(w, w.builds("shop", "created"))).To(Equal(v1alpha1.ReasonPublished))
	images := w.images(w.shop)
	e := w.ask("shop", "rebuilt", hashOf("rebuilt"), func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerRebuild })
	e.role(v1alpha1.RoleLocalBuild)
	e.finished()
	e.build()
	e.report()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	w.Expect(w.images(w.shop)).To(Equal(images))
	return []string{"the trigger of the request"}
}

func publishTwice(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.Expect(published(w, w.builds("shop", "once"))).To(Equal(v1alpha1.ReasonPublished))
	second := w.ask("shop", "once", hashOf("twice"))
	second.role(v1alpha1.RoleLocalBuild)
	second.finished()
	second.build()
	second.report()
	second.reason(second.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	return []string{"one publication for each environment"}
}

// publishTwiceFromAService asks again for a service of one environment, and for its whole configuration.
func publishTwiceFromAService(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.setCompose("shop", v1alpha1.ComposePolicyCached)
	defer w.setCompose("shop", v1alpha1.ComposePolicyBypassed)
	for _, name := range []string{"web", "api"} {
		e := w.ask("shop", "services", hashOf("first "+name), ofService(name))
		e.publish()
	}
	for hash, edit := range map[string]func(*v1alpha1.DevcontainerImageSpec){
		hashOf("second web"): ofService("web"),
		hashOf("second api"): ofService("api"),
		hashOf("no service"): func(*v1alpha1.DevcontainerImageSpec) {},
	} {
		second := w.ask("shop", "services", hash, edit)
		second.role(v1alpha1.RoleLocalBuild)
		second.finished()
		second.build()
		second.report()
		second.reason(second.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	}
	return []string{"one publication for each environment and service"}
}

func publishAfterTakeover(t *testing.T, w *battlefield) []string {
	t.Helper()
	w.Expect(published(w, w.builds("payments", "in-time"))).To(Equal(v1alpha1.ReasonPublished))
	late := w.builds("payments", "late")
	late.report()
	late.granted()
	kept := &attacker{lab: w.lab, own: w.payments, hash: hashOf("late"), auth: w.passwordIn(late.request.Status.PushCredentials.SecretName)}
	layers, err := late.image.Layers()
	w.Expect(err).NotTo(HaveOccurred())
	for _, layer := range layers {
		w.Expect(remote.WriteLayer(late.repository(), layer, remote.WithAuth(authn.FromConfig(kept.auth)))).To(Succeed())
	}
	w.Expect(kube.Delete(w.ctx, late.lease())).To(Succeed())
	images := w.images(w.payments)
	late.patch(map[string]any{"uploadAttempt": 1})
	late.reason(late.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	w.stopped(kept.putManifest(t.Context(), w.payments, hashOf("late")), stops[repositoryShield])
	w.Expect(w.images(w.payments)).To(Equal(images))
	return []string{"the build lease, read anew before publishing", string(repositoryShield)}
}

func uploadRightsAfterTheEnd(t *testing.T, w *battlefield) []string {
	t.Helper()
	e := w.builds("shop", "ended")
	e.report()
	e.granted()
	name := e.request.Status.PushCredentials.SecretName
	kept := &attacker{lab: w.lab, own: w.shop, hash: hashOf("shop"), auth: w.passwordIn(name)}
	w.Expect(kept.upload(t.Context(), w.shop)).To(Succeed(), "before the end")
	e.upload()
	e.finished()
	_, err := cluster.CredentialSecret(w.ctx, kube, w.namespace, name)
	w.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	w.stopped(kept.putManifest(t.Context(), w.shop, hashOf("another")), stops[repositoryShield])
	return []string{"the removal of the Secret", "the repository policy, of a copy that was kept"}
}

// outsider is a runner's service account whose namespace is not the one under attack.
type outsider struct {
	home   string
	client client.WithWatch
	name   string
}

func newOutsider(t *testing.T, w *battlefield) outsider {
	t.Helper()
	install(t, "rbac/runner_role.yaml", "admission/policies.yaml")
	home := ownNamespace(t)
	o := outsider{home: home, client: asServiceAccount(t, home, "runner"), name: serviceAccountUser(home, "runner")}
	bind(t, home, "imagecache-runner", o.name)
	eventually(t, func(ctx context.Context) error {
		return o.client.List(ctx, &v1alpha1.DevcontainerImageList{}, client.InNamespace(home))
	})
	return o
}

// withRights tries what the outsider may not do by somebody who has exactly the right that is missing.
func withRights(t *testing.T, namespace string, rule rbacv1.PolicyRule, try func(client.Client) error) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "attack-"}, Rules: []rbacv1.PolicyRule{rule}}
	if err := kube.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	user := role.Name
	bind(t, namespace, role.Name, user)
	eventually(t, func(context.Context) error { return try(as(t, user)) })
}

func reportForAnotherNamespace(t *testing.T, w *battlefield) []string {
	t.Helper()
	o := newOutsider(t, w)
	e := w.builds("shop", "victim")
	patch := func(c client.Client) error {
		return mergePatch(t, c, e.request.DeepCopy(), `{"spec":{"build":{"outcome":"Failed","durationSeconds":1,"message":"sabotage"}}}`)
	}
	w.Expect(apierrors.IsForbidden(patch(o.client))).To(BeTrue())
	w.Expect(apierrors.IsForbidden(o.client.Create(w.ctx, requestFor(w.namespace, "foreign")))).To(BeTrue())
	withRights(t, w.namespace, rbacv1.PolicyRule{APIGroups: []string{"imagecache.dev"}, Resources: []string{"devcontainerimages"}, Verbs: []string{"patch", "report"}}, patch)
	return []string{"a RoleBinding for one namespace"}
}

func readAnothersSecret(t *testing.T, w *battlefield) []string {
	t.Helper()
	o := newOutsider(t, w)
	read := func(c client.Client) error {
		return c.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: w.builder.request.Status.PushCredentials.SecretName}, &corev1.Secret{})
	}
	w.Expect(apierrors.IsForbidden(read(o.client))).To(BeTrue())
	withRights(t, w.namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}, read)
	return []string{"a RoleBinding for one namespace"}
}

func listSecrets(t *testing.T, w *battlefield) []string {
	t.Helper()
	o := newOutsider(t, w)
	for _, namespace := range []string{o.home, w.namespace} {
		w.Expect(apierrors.IsForbidden(o.client.List(w.ctx, &corev1.SecretList{}, client.InNamespace(namespace)))).To(BeTrue())
		_, err := o.client.Watch(w.ctx, &corev1.SecretList{}, client.InNamespace(namespace))
		w.Expect(apierrors.IsForbidden(err)).To(BeTrue())
	}
	withRights(t, w.namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}, func(c client.Client) error {
		return c.List(w.ctx, &corev1.SecretList{}, client.InNamespace(w.namespace))
	})
	return []string{"get without list and watch in the role imagecache-runner"}
}

func alterSecret(t *testing.T, w *battlefield) []string {
	t.Helper()
	o := newOutsider(t, w)
	mine := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.home, Name: "mine"}}
	w.Expect(kube.Create(w.ctx, mine)).To(Succeed())
	alter := func(c client.Client) error { return mergePatch(t, c, mine.DeepCopy(), `{"data":{"x":"eA=="}}`) }
	w.Expect(apierrors.IsForbidden(alter(o.client))).To(BeTrue())
	w.Expect(apierrors.IsForbidden(o.client.Delete(w.ctx, mine.DeepCopy()))).To(BeTrue())
	w.Expect(apierrors.IsForbidden(o.client.Create(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.home, Name: "new"}}))).To(BeTrue())
	withRights(t, o.home, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"patch"}}, alter)
	return []string{"get alone in the role imagecache-runner"}
}

// controllerAsDeputy chooses a request's name so that the controller might touch a Secret that is not its own.
func controllerAsDeputy(t *testing.T, w *battlefield) []string {
	t.Helper()
	// A Secret under the very name that the controller uses for a request is taken for the controller's and removed.
	open := w.builds("shop", "deputy")
	named := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "imagecache-push-" + string(open.request.UID)}}
	w.Expect(kube.Create(w.ctx, named)).To(Succeed())
	open.patch(map[string]any{"build": map[string]any{"outcome": "Failed", "durationSeconds": 1, "message": "done"}})
	open.finished()
	w.Eventually(func() bool { return apierrors.IsNotFound(kube.Get(w.ctx, client.ObjectKeyFromObject(named), named)) }).Should(BeTrue())

	// But nobody's Secret has that name: it holds the UID, which the requester can't choose.
	for _, name := range []string{"victim-push", "victim-pull", "victim"} {
		w.create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`},
		})
	}
	request := requestFor("", "victim")
	request.Spec.EnvironmentID = "deputy-2"
	request.Spec.ConfigHash = hashOf("victim of a deputy")
	w.create(request)
	e := &environment{harness: w.harness, request: request}
	e.publish()
	e.finished()
	w.Expect(kube.Delete(w.ctx, e.request)).To(Succeed())
	for _, name := range []string{"victim-push", "victim-pull", "victim"} {
		secret := &corev1.Secret{}
		w.Expect(kube.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, secret)).To(Succeed())
		w.Expect(string(secret.Data[corev1.DockerConfigJsonKey])).To(Equal(`{"auths":{}}`))
	}
	return []string{"the UID in the Secret's name"}
}

// Roles that both trust the controller: the manager's settings let the attacked namespace use one of them.
const lentRole, withheldRole = "lent", "withheld"

func (w *battlefield) roleARN(name string) string {
	return "arn:aws:iam::" + w.account.AccountID() + ":role/" + name
}

// borrowRole names a role in assumeRoleARN, as a namespace's administrator may, whose project is served already.
func borrowRole(t *testing.T, w *battlefield) []string {
	t.Helper()
	asked := func(role string) int {
		calls := 0
		for _, call := range w.account.Calls().All() {
			if strings.Contains(call.Principal, role) || strings.HasSuffix(call.Resource, ":role/"+role) {
				calls++
			}
		}
		return calls
	}
	w.lab.makeRole(t, lentRole, wide)
	borrower := w.runner("borrower", func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN = w.roleARN(lentRole) })
	project := w.project("borrowed", "borrower")
	w.ask("borrowed", "borrower-1", hashOf("borrowed")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	w.Expect(asked(lentRole)).To(BeNumerically(">", 0))

	w.lab.makeRole(t, withheldRole, wide)
	made := asked(withheldRole)
	w.Expect(mergePatch(t, kube, borrower, fmt.Sprintf(`{"spec":{"assumeRoleARN":%q}}`, w.roleARN(withheldRole)))).To(Succeed())
	w.reason(borrower, v1alpha1.ConditionStalled, v1alpha1.ReasonAssumeRoleNotAllowed)
	w.reason(project, v1alpha1.ConditionReady, v1alpha1.ReasonWaitingForRunner)
	e := w.ask("borrowed", "borrower-2", hashOf("borrowed too"))
	e.reason(e.request, v1alpha1.ConditionLookedUp, v1alpha1.ReasonWaitingForRunner)
	w.Expect(asked(withheldRole)).To(Equal(made))
	return []string{"the manager's settings, before each call"}
}

func pullWhileDisabled(t *testing.T, w *battlefield) []string {
	t.Helper()
	off := w.runner("off")
	w.project("closed", "off")
	w.ask("closed", "off-1", hashOf("off")).publish()
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "closed"}}
	w.condition(project, v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue)
	secret := project.Status.PullCredentials.SecretName
	a := &attacker{lab: w.lab, own: project.Status.Repository.Name, hash: hashOf("off"), auth: w.passwordIn(secret)}
	w.Expect(a.pull(t.Context(), a.own)).To(Succeed(), "while the cache is on")

	w.Expect(mergePatch(t, kube, off, `{"spec":{"tier":"Enterprise","cache":"Disabled"}}`)).To(Succeed())
	w.Eventually(func() error { return a.pull(t.Context(), a.own) }).ShouldNot(Succeed())
	w.stopped(a.pull(t.Context(), a.own), stops[repositoryShield])
	w.Eventually(func() error {
		return kube.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: secret}, &corev1.Secret{})
	}).ShouldNot(Succeed())
	return []string{string(repositoryShield), "the removal of the Secret"}
}

func uploadAfterDeadline(t *testing.T, w *battlefield) []string {
	t.Helper()
	unlimited, limited, real := w.lab.stage(sessionpolicy.PurposePush), w.lab.stage(sessionpolicy.PurposePush, deadlineShield), w.real(sessionpolicy.PurposePush)
	for name, a := range map[string]*attacker{"unlimited": unlimited, "limited": limited, "real": real} {
		w.Expect(a.upload(t.Context(), a.own)).To(Succeed(), "%s, before the deadline", name)
	}
	w.account.Clock().Advance(16 * time.Minute)
	w.Expect(unlimited.upload(t.Context(), unlimited.own)).To(Succeed(), "the password outlives its session")
	w.stopped(limited.upload(t.Context(), limited.own), stops[deadlineShield])
	w.stopped(real.upload(t.Context(), real.own), stops[deadlineShield])
	return []string{string(deadlineShield)}
}

func pullBeyondSession(t *testing.T, w *battlefield) []string {
	t.Helper()
	unlimited, limited, real := w.lab.stage(sessionpolicy.PurposePull), w.lab.stage(sessionpolicy.PurposePull, deadlineShield), w.real(sessionpolicy.PurposePull)
	for name, a := range map[string]*attacker{"unlimited": unlimited, "limited": limited, "real": real} {
		w.Expect(a.pull(t.Context(), a.own)).To(Succeed(), "%s, within the session", name)
	}
	w.account.Clock().Advance(61 * time.Minute)
	w.Expect(unlimited.pull(t.Context(), unlimited.own)).To(Succeed(), "the password outlives its session")
	w.stopped(limited.pull(t.Context(), limited.own), stops[deadlineShield])
	w.stopped(real.pull(t.Context(), real.own), stops[deadlineShield])
	return []string{fmt.Sprint(deadlineShield)}
}
