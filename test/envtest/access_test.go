package envtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
)

// right is one verb on one resource.
type right struct{ verb, group, resource, subresource string }

func (r right) String() string {
	resource := r.resource
	if r.group != "" {
		resource += "." + r.group
	}
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	return r.verb + " " + resource
}

// parseRight reads a verb and a resource as kubectl auth can-i writes it: name.group/subresource.
func parseRight(verb, resource string) right {
	resource, subresource, _ := strings.Cut(resource, "/")
	name, group, _ := strings.Cut(resource, ".")
	return right{verb, group, name, subresource}
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// documentedRights reads the table of docs/access.md: of each right, the roles that have it.
func documentedRights(t *testing.T) (roles []string, rights map[right][]string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "access.md"))
	if err != nil {
		t.Fatal(err)
	}
	rights = map[right][]string{}
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) > 2 && cells[0] == "verbs" && cells[1] == "resource":
			roles = cells[2:]
		case roles == nil || strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(roles)+2:
			return roles, rights
		default:
			for _, verb := range codeSpan.FindAllStringSubmatch(cells[0], -1) {
				r := parseRight(verb[1], strings.Trim(cells[1], "`"))
				rights[r] = []string{}
				for i, cell := range cells[2:] {
					if cell == "yes" {
						rights[r] = append(rights[r], roles[i])
					}
				}
			}
		}
	}
	t.Fatal("docs/access.md has no table of rights, or nothing follows it")
	return nil, nil
}

// may asks the API server whether a user may do something in a namespace.
func may(t *testing.T, user, namespace string, r right) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.subresource,
		},
	}}
	if err := kube.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func TestAccessIsAsDocumented(t *testing.T) {
	install(t, "rbac/runner_role.yaml", "rbac/prebuilder_role.yaml", "rbac/admin_role.yaml", "rbac/viewer_role.yaml")
	namespace, other := ownNamespace(t), ownNamespace(t)
	roles, rights := documentedRights(t)
	if len(roles) != 5 || len(rights) < 40 {
		t.Fatalf("the table has %d roles and %d rights", len(roles), len(rights))
	}
	for _, role := range roles {
		user := role + "-of-" + namespace
		bind(t, namespace, "imagecache-"+role, user)
		first := right{"get", "imagecache.dev", "runnerimagecaches", ""}
		eventually(t, func(context.Context) error {
			if !may(t, user, namespace, first) {
				return fmt.Errorf("%s may not %s yet", user, first)
			}
			return nil
		})
		for r, have := range rights {
			if got, want := may(t, user, namespace, r), slices.Contains(have, role); got != want {
				t.Errorf("%s may %s: %t, documented is %t", role, r, got, want)
			}
			if may(t, user, other, r) {
				t.Errorf("%s may %s in another namespace", role, r)
			}
		}
	}
}

// TestEveryRightIsDocumented compares the other way round: a right that a role has and the table doesn't name fails it.
func TestEveryRightIsDocumented(t *testing.T) {
	_, rights := documentedRights(t)
	for _, file := range []string{"runner_role.yaml", "prebuilder_role.yaml", "admin_role.yaml", "viewer_role.yaml"} {
		for _, object := range decodeFile(t, configPath("rbac", file)) {
			role := &rbacv1.ClusterRole{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						name, subresource, _ := strings.Cut(resource, "/")
						r := right{verb, rule.APIGroups[0], name, subresource}
						if !slices.Contains(rights[r], strings.TrimPrefix(role.Name, "imagecache-")) {
							t.Errorf("%s: %s may %s, and docs/access.md doesn't say so", file, role.Name, r)
						}
					}
				}
			}
		}
	}
}

// TestRunnerNeedsNoMoreThanItsRole makes, as the runner's service account, every kind of call that a runner makes.
func TestRunnerNeedsNoMoreThanItsRole(t *testing.T) {
	p := newPeople(t)
	ctx, namespace := t.Context(), p.namespace
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "shop-id"},
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "build"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("e-1/uid"), LeaseDurationSeconds: ptr.To(int32(45))},
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-pull"},
		Type:       corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`},
	}
	for _, object := range []client.Object{project, lease, secret} {
		if err := kube.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}

	for _, name := range []string{"shop", "shop-id"} {
		found, err := cluster.FindProject(ctx, p.runner, namespace, name)
		allowed(t, "find the project "+name, err)
		if found == nil || found.Name != "shop" {
			t.Errorf("found %v by %s, want shop", found, name)
		}
	}
	request := requestFor(namespace, "e-1")
	allowed(t, "create a request", p.runner.Create(ctx, request))
	stream, err := p.runner.Watch(ctx, &v1alpha1.DevcontainerImageList{}, client.InNamespace(namespace), client.MatchingFields{"metadata.name": "e-1"})
	allowed(t, "watch the request", err)
	defer stream.Stop()
	allowed(t, "report", mergePatch(t, p.runner, request, buildPatch))
	_, err = cluster.CredentialSecret(ctx, p.runner, namespace, "shop-pull")
	allowed(t, "read credentials", err)
	held := &coordinationv1.Lease{}
	allowed(t, "read the lease", p.runner.Get(ctx, client.ObjectKeyFromObject(lease), held))
	held.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Unix(1e9, 0)))
	allowed(t, "renew the lease", p.runner.Update(ctx, held))

	for what, err := range map[string]error{
		"list secrets":     p.runner.List(ctx, &corev1.SecretList{}, client.InNamespace(namespace)),
		"change a secret":  mergePatch(t, p.runner, secret, `{"data":null}`),
		"delete a lease":   p.runner.Delete(ctx, held),
		"answer itself":    p.runner.Status().Patch(ctx, request, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"role":"Builder"}}`))),
		"change a project": mergePatch(t, p.runner, project, `{"spec":{"readers":["arn:aws:iam::123456789012:role/mine"]}}`),
		"delete a project": p.runner.Delete(ctx, project),
		"make a runner":    p.runner.Create(ctx, p.runnerCache("mine", "")),
		"delete a request": p.runner.Delete(ctx, request),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("a runner may %s: %v", what, err)
		}
	}
}
