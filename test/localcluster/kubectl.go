package localcluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubectl runs the real kubectl as administrator and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.options.Assets, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.AdminKubeconfig)
	var output, errors bytes.Buffer
	command.Stdout, command.Stderr = &output, &errors
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errors.String()))
	}
	return output.String(), nil
}

// Apply applies a file or folder in a namespace.
func (c *Cluster) Apply(ctx context.Context, namespace, path string) error {
	args := []string{"apply", "--server-side", "-f", path}
	if namespace != "" {
		args = append(args, "-n", namespace)
	}
	_, err := c.Kubectl(ctx, args...)
	return err
}

// Namespace makes a namespace if it isn't there.
func (c *Cluster) Namespace(ctx context.Context, name string) error {
	clients, err := c.Clients()
	if err != nil {
		return err
	}
	_, err = clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// RunnerNamespace makes a namespace for one runner, with the service account "runner" that may do in it what a runner
// does, and returns the path of a kubeconfig that is that account's.
func (c *Cluster) RunnerNamespace(ctx context.Context, name string) (string, error) {
	if err := c.Namespace(ctx, name); err != nil {
		return "", err
	}
	clients, err := c.Clients()
	if err != nil {
		return "", err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "runner"}}
	if _, err := clients.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("make service account: %w", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "imagecache-runner"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "imagecache-runner"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "runner", Namespace: name}},
	}
	if _, err := clients.RbacV1().RoleBindings(name).Create(ctx, binding, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("bind the runner's role: %w", err)
	}
	return c.ServiceAccountKubeconfig(ctx, name, "runner")
}

// get asks for a URL and fails unless the answer is 200.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // only the status counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
