package envtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	applyv1alpha1 "imagecache.dev/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// What the admission policies say, after their own names.
const (
	reportsSay = "build, pull and uploadAttempt are the runner's reports; writing them needs the verb report on devcontainerimages, which the role imagecache-runner has"
	refreshSay = "cachePolicy Refresh replaces what the whole project uses; it needs the verb refresh on projectimagecaches, which the role imagecache-admin has"
	// A prebuild is refused with these when it is made, and when its build is reported.
	prebuildSay        = "trigger Prebuild publishes for the whole project, as often as it is asked to; it needs the verb prebuild on projectimagecaches, which the role imagecache-prebuilder has"
	prebuildReportsSay = "build and uploadAttempt of a prebuild are its own reports; writing them needs the verb prebuild on projectimagecaches, which the role imagecache-prebuilder has"
	tierSays           = "a tier other than Free, and any change of it, needs the verb set-tier on runnerimagecaches, which the role imagecache-tier-admin has"
)

const buildPatch = `{"spec":{"build":{"outcome":"Succeeded","manifest":"{}","config":"{}","durationSeconds":60}}}`

// people are those who act on one namespace.
type people struct {
	namespace string
	// runner is the service account of a runner, and editor somebody who may write all three kinds but has no verb of
	// ours, such as a tool for backups.
	runner, editor, admin, tierAdmin client.WithWatch
	// prebuilder is the service account of CI.
	prebuilder client.WithWatch
}

// newPeople installs roles and policies, and waits until they act.
func newPeople(t *testing.T) people {
	t.Helper()
	install(t, "rbac/runner_role.yaml", "rbac/prebuilder_role.yaml", "rbac/admin_role.yaml", "rbac/viewer_role.yaml", "admission/policies.yaml")
	editor := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "editor-"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group},
			Resources: []string{"runnerimagecaches", "projectimagecaches", "devcontainerimages"},
			Verbs:     []string{"get", "create", "update", "patch"},
		}},
	}
	if err := kube.Create(t.Context(), editor); err != nil {
		t.Fatal(err)
	}
	namespace := ownNamespace(t)
	bind(t, namespace, "imagecache-runner", serviceAccountUser(namespace, "runner"))
	bind(t, namespace, "imagecache-prebuilder", serviceAccountUser(namespace, "ci"))
	bind(t, namespace, editor.Name, "editor-of-"+namespace)
	bind(t, namespace, "imagecache-admin", "admin-of-"+namespace)
	bind(t, namespace, "imagecache-admin", "tier-admin-of-"+namespace)
	bind(t, namespace, "imagecache-tier-admin", "tier-admin-of-"+namespace)
	p := people{
		namespace:  namespace,
		runner:     asServiceAccount(t, namespace, "runner"),
		prebuilder: asServiceAccount(t, namespace, "ci"),
		editor:     as(t, "editor-of-"+namespace),
		admin:      as(t, "admin-of-"+namespace),
		tierAdmin:  as(t, "tier-admin-of-"+namespace),
	}
	p.await(t)
	return p
}

// await tries, without writing anything, until every role is bound and every policy refuses.
func (p people) await(t *testing.T) {
	t.Helper()
	dryRun := func(c client.Client, object client.Object) func(context.Context) error {
		return func(ctx context.Context) error {
			return c.Create(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll)
		}
	}
	refused := func(try func(context.Context) error, message string) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := try(ctx); err == nil || !strings.Contains(err.Error(), message) {
				return fmt.Errorf("got %s, waiting for %q", says(err), message)
			}
			return nil
		}
	}
	reported, refresh := requestFor(p.namespace, "await"), requestFor(p.namespace, "await")
	reported.Spec.Pull = &v1alpha1.PullReport{Outcome: v1alpha1.PullFailed, DurationSeconds: ptr.To(int64(1))}
	refresh.Spec.CachePolicy = v1alpha1.CachePolicyRefresh
	eventually(t, dryRun(p.runner, reported))
	eventually(t, dryRun(p.admin, refresh))
	prebuild := prebuildFor(p.namespace, "await")
	eventually(t, dryRun(p.prebuilder, prebuild))
	eventually(t, refused(dryRun(p.editor, prebuild), prebuildSay))
	eventually(t, dryRun(p.tierAdmin, p.runnerCache("await", v1alpha1.TierCore)))
	eventually(t, refused(dryRun(p.editor, reported), reportsSay))
	eventually(t, refused(dryRun(p.editor, refresh), refreshSay))
	eventually(t, refused(dryRun(p.editor, p.runnerCache("await", v1alpha1.TierCore)), tierSays))
}

func (p people) runnerCache(name string, tier v1alpha1.Tier) *v1alpha1.RunnerImageCache {
	return &v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name},
		Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: name, Region: "us-east-1", Tier: tier},
	}
}

// denied checks that a policy refused, with its sentence and nothing else.
func denied(t *testing.T, what, message string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "denied request: "+message) {
		t.Errorf("%s: got %v\nwant a refusal: %s", what, err, message)
	}
}

func allowed(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestOnlyRunnersReport(t *testing.T) {
	p := newPeople(t)
	request := requestFor(p.namespace, "e-1")
	allowed(t, "an editor makes a request", p.editor.Create(t.Context(), request))

	for who, c := range map[string]client.Client{"an editor": p.editor, "an admin": p.admin} {
		denied(t, who+" reports a build", reportsSay, mergePatch(t, c, request.DeepCopy(), buildPatch))
		denied(t, who+" reports a pull", reportsSay, mergePatch(t, c, request.DeepCopy(), `{"spec":{"pull":{"outcome":"Failed","durationSeconds":1}}}`))
		apply := applyv1alpha1.DevcontainerImage("e-1", p.namespace).WithSpec(applyv1alpha1.DevcontainerImageSpec().
			WithBuild(applyv1alpha1.BuildReport().WithOutcome(v1alpha1.BuildFailed).WithDurationSeconds(1)))
		denied(t, who+" applies a report", reportsSay, c.Apply(t.Context(), apply, client.FieldOwner(who)))
		reported := requestFor(p.namespace, "e-2")
		reported.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(int64(1))}
		denied(t, who+" makes a request with a report", reportsSay, c.Create(t.Context(), reported))
	}
	allowed(t, "the runner reports a build", mergePatch(t, p.runner, request, buildPatch))
	denied(t, "an editor reports an upload", reportsSay, mergePatch(t, p.editor, request.DeepCopy(), `{"spec":{"uploadAttempt":1}}`))
	allowed(t, "the runner reports an upload", mergePatch(t, p.runner, request, `{"spec":{"uploadAttempt":1}}`))
	denied(t, "an editor reports another upload", reportsSay, mergePatch(t, p.editor, request.DeepCopy(), `{"spec":{"uploadAttempt":2}}`))
	allowed(t, "the runner reports a pull", mergePatch(t, p.runner, request, `{"spec":{"pull":{"outcome":"Succeeded","durationSeconds":1}}}`))

	allowed(t, "an editor labels a request with reports", mergePatch(t, p.editor, request, `{"metadata":{"labels":{"team":"a"}}}`))
	request.Annotations = map[string]string{"note": "kept"}
	allowed(t, "an editor updates a request and leaves its reports", p.editor.Update(t.Context(), request))
}

func TestARunnerReportsInItsOwnNamespaceOnly(t *testing.T) {
	p, other := newPeople(t), ownNamespace(t)
	request := requestFor(other, "e-1")
	if err := kube.Create(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := mergePatch(t, p.runner, request, buildPatch); !apierrors.IsForbidden(err) {
		t.Errorf("a runner reports in another's namespace: %v", err)
	}
}

func TestRefreshNeedsItsVerb(t *testing.T) {
	p := newPeople(t)
	refresh := func(name, project string) *v1alpha1.DevcontainerImage {
		request := requestFor(p.namespace, name)
		request.Spec.CachePolicy, request.Spec.ProjectRef.Name = v1alpha1.CachePolicyRefresh, project
		return request
	}
	denied(t, "a runner refreshes", refreshSay, p.runner.Create(t.Context(), refresh("e-1", "shop")))
	denied(t, "an editor refreshes", refreshSay, p.editor.Create(t.Context(), refresh("e-1", "shop")))
	apply := applyv1alpha1.DevcontainerImage("e-1", p.namespace).WithSpec(applyv1alpha1.DevcontainerImageSpec().
		WithProjectRef(applyv1alpha1.ProjectReference().WithName("shop")).WithEnvironmentID("e-1").WithTrigger(v1alpha1.TriggerEnvironmentCreated).
		WithConfigurationType(v1alpha1.ConfigurationImage).WithConfigHash(someHash).WithCachePolicy(v1alpha1.CachePolicyRefresh))
	denied(t, "an editor applies a refresh", refreshSay, p.editor.Apply(t.Context(), apply, client.FieldOwner("editor")))
	allowed(t, "an admin refreshes", p.admin.Create(t.Context(), refresh("e-1", "shop")))
	allowed(t, "an editor labels a refresh", mergePatch(t, p.editor, requestFor(p.namespace, "e-1"), `{"metadata":{"labels":{"team":"a"}}}`))

	// The verb can be given for single projects.
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "refresh-shop"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"imagecache.dev"}, Resources: []string{"projectimagecaches"}, ResourceNames: []string{"shop"}, Verbs: []string{"refresh"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "refresh-shop"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "refresh-shop"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: p.namespace, Name: "runner"}},
	}
	for _, object := range []client.Object{role, binding} {
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) error { return p.runner.Create(ctx, refresh("e-2", "shop")) })
	denied(t, "the runner refreshes another project", refreshSay, p.runner.Create(t.Context(), refresh("e-3", "payments")))
}

func prebuildFor(namespace, name string) *v1alpha1.DevcontainerImage {
	prebuild := requestFor(namespace, name)
	prebuild.Spec.Trigger = v1alpha1.TriggerPrebuild
	return prebuild
}

func TestPrebuildNeedsItsVerb(t *testing.T) {
	p := newPeople(t)
	for who, c := range map[string]client.Client{"a runner": p.runner, "an editor": p.editor, "an admin": p.admin} {
		denied(t, who+" prebuilds", prebuildSay, c.Create(t.Context(), prebuildFor(p.namespace, "p-1")))
	}
	refresh := prebuildFor(p.namespace, "p-0")
	refresh.Spec.CachePolicy = v1alpha1.CachePolicyRefresh
	denied(t, "an admin prebuilds anew", prebuildSay, p.admin.Create(t.Context(), refresh.DeepCopy()))
	allowed(t, "CI prebuilds anew", p.prebuilder.Create(t.Context(), refresh))

	prebuild := prebuildFor(p.namespace, "p-1")
	allowed(t, "CI prebuilds", p.prebuilder.Create(t.Context(), prebuild))
	denied(t, "a runner reports CI's build", prebuildReportsSay, mergePatch(t, p.runner, prebuild.DeepCopy(), buildPatch))
	allowed(t, "CI reports its build", mergePatch(t, p.prebuilder, prebuild, buildPatch))
	allowed(t, "CI reports its upload", mergePatch(t, p.prebuilder, prebuild, `{"spec":{"uploadAttempt":1}}`))

	// CI answers for no environment.
	created := requestFor(p.namespace, "e-1")
	allowed(t, "a runner makes a request", p.runner.Create(t.Context(), created))
	denied(t, "CI reports an environment's build", reportsSay, mergePatch(t, p.prebuilder, created.DeepCopy(), buildPatch))
	refresh = requestFor(p.namespace, "e-2")
	refresh.Spec.CachePolicy = v1alpha1.CachePolicyRefresh
	denied(t, "CI refreshes as an environment", refreshSay, p.prebuilder.Create(t.Context(), refresh))
	if err := mergePatch(t, p.prebuilder, created.DeepCopy(), `{"spec":{"trigger":"Prebuild"}}`); !apierrors.IsInvalid(err) {
		t.Errorf("CI makes an environment's request its own: %v", err)
	}
}

func TestTierNeedsItsVerb(t *testing.T) {
	p := newPeople(t)
	free, core := p.runnerCache("free", ""), p.runnerCache("core", v1alpha1.TierCore)
	allowed(t, "an editor makes a runner of the default tier", p.editor.Create(t.Context(), free))
	allowed(t, "an editor makes a runner of the tier Free", p.editor.Create(t.Context(), p.runnerCache("free-too", v1alpha1.TierFree)))
	denied(t, "an editor makes a runner of the tier Core", tierSays, p.editor.Create(t.Context(), core.DeepCopy()))
	denied(t, "an admin makes a runner of the tier Core", tierSays, p.admin.Create(t.Context(), core.DeepCopy()))
	denied(t, "an admin raises the tier", tierSays, mergePatch(t, p.admin, free.DeepCopy(), `{"spec":{"tier":"Core"}}`))
	denied(t, "an admin raises the tier to switch the cache off", tierSays, mergePatch(t, p.admin, free.DeepCopy(), `{"spec":{"tier":"Core","cache":"Disabled"}}`))
	allowed(t, "a tier admin makes a runner of the tier Core", p.tierAdmin.Create(t.Context(), core))
	allowed(t, "a tier admin raises the tier", mergePatch(t, p.tierAdmin, free, `{"spec":{"tier":"Enterprise"}}`))
	allowed(t, "an editor switches the cache off where the tier allows it", mergePatch(t, p.editor, core.DeepCopy(), `{"spec":{"cache":"Disabled"}}`))
	denied(t, "an editor lowers the tier", tierSays, mergePatch(t, p.editor, free.DeepCopy(), `{"spec":{"tier":"Free"}}`))
	denied(t, "an editor removes the tier", tierSays, mergePatch(t, p.editor, free.DeepCopy(), `{"spec":{"tier":null}}`))
	allowed(t, "a tier admin removes the tier", mergePatch(t, p.tierAdmin, free, `{"spec":{"tier":null}}`))
}
