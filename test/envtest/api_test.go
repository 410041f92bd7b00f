package envtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// configPath is a file or folder of config.
func configPath(elements ...string) string {
	return filepath.Join(append([]string{"..", "..", "config"}, elements...)...)
}

// ownNamespace makes a namespace for one test.
func ownNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "api-"}}
	if err := kube.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// decodeFile reads all objects of a YAML file.
func decodeFile(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(object); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatalf("%s: %v", path, err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

// install applies files of config to the cluster, as kubectl apply --server-side does.
func install(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for _, object := range decodeFile(t, configPath(path)) {
			apply := client.ApplyConfigurationFromUnstructured(object)
			if err := kube.Apply(t.Context(), apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
				t.Fatalf("%s: %s %s: %v", path, object.GetKind(), object.GetName(), err)
			}
		}
	}
}

// as is a client that acts as somebody else.
func as(t *testing.T, user string, groups ...string) client.WithWatch {
	t.Helper()
	config := rest.CopyConfig(restConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	made, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// asServiceAccount is a client that acts as a service account.
func asServiceAccount(t *testing.T, namespace, name string) client.WithWatch {
	t.Helper()
	return as(t, serviceAccountUser(namespace, name), "system:serviceaccounts", "system:serviceaccounts:"+namespace)
}

func serviceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// bind gives a user a ClusterRole in one namespace.
func bind(t *testing.T, namespace, role, user string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	if err := kube.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
}

// says is what the API server answered: of an invalid object every field with its message, one on a line.
func says(err error) string {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return fmt.Sprint(err)
	}
	details := answer.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return answer.Status().Message
	}
	var lines []string
	for _, cause := range details.Causes {
		if strings.Contains(cause.Message, "some validation rules were not checked") {
			continue // it is about the other rules
		}
		lines = append(lines, cause.Field+": "+cause.Message)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// requestFor is a DevcontainerImage as a runner makes it.
func requestFor(namespace, name string) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef:        &v1alpha1.ProjectReference{Name: "shop"},
			EnvironmentID:     name,
			Trigger:           v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationImage,
			ConfigHash:        strings.Repeat("0a", 32),
		},
	}
}

// mergePatch is a patch that is written as JSON.
func mergePatch(t *testing.T, c client.Client, object client.Object, patch string) error {
	t.Helper()
	return c.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// eventually retries what has to become known in the API server first, such as a role that was just bound.
func eventually(t *testing.T, what func(ctx context.Context) error) {
	t.Helper()
	NewWithT(t).Eventually(func() error { return what(t.Context()) }).WithTimeout(20 * time.Second).WithPolling(20 * time.Millisecond).Should(Succeed())
}
