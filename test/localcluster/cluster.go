// Package localcluster runs the whole system on loopback, each part as the program that it is: etcd and kube-apiserver,
// AWS (the project's emulator) and the manager. They meet over HTTP alone, as they do in production. The demo and the
// end-to-end tests stand on it.
package localcluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/client-go/kubernetes"
)

// startTimeout bounds the start of the whole cluster, tools being built already.
const startTimeout = 2 * time.Minute

// managerNamespace is where the manager's service account is, and what else is its own.
const managerNamespace = "imagecache-system"

// Options say where the programs are and where the cluster keeps its state.
type Options struct {
	// Assets is the folder with kube-apiserver, etcd and kubectl.
	Assets string
	// Programs is the folder with manager, imagecache and aws-emulator.
	Programs string
	// Config is the project's config folder.
	Config string
	// Dir is an existing folder for state and logs.
	Dir string
	// Region is the AWS region, by default us-east-1.
	Region string
	// LeaderElection makes the manager lead before it works, as in production.
	LeaderElection bool
}

// InCheckout returns the options for a checkout of the project in the folder root, and puts its programs first in PATH. dir is an existing
// folder for state and logs.
func InCheckout(root, dir string) (Options, error) {
	programs, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		return Options{}, fmt.Errorf("find programs: %w", err)
	}
	if err := os.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return Options{}, fmt.Errorf("find programs: %w", err)
	}
	assets := cmp.Or(os.Getenv("KUBEBUILDER_ASSETS"), filepath.Join(programs, "k8s"))
	return Options{Assets: assets, Programs: programs, Config: filepath.Join(root, "config"), Dir: dir}, nil
}

// Cluster is a running cluster. Stop ends it.
type Cluster struct {
	options    Options
	dir        string
	kubernetes *kubernetesProcesses
	emulator   *process
	manager    *process
	prometheus *process
	aws        awsAccount

	// AdminKubeconfig is the path of a kubeconfig that may do anything.
	AdminKubeconfig string
	// Metrics is the URL of the manager's metrics, for those whom Kubernetes authorises: see MetricsReader.
	Metrics string
}

// Start runs Kubernetes and AWS side by side, prepares the account, installs the API, and runs the manager. The cluster
// has no namespace of a runner yet.
func Start(ctx context.Context, options Options) (c *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if options.Region == "" {
		options.Region = "us-east-1"
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	c = &Cluster{options: options, dir: options.Dir}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	account := make(chan error, 1)
	go func() { account <- c.startAWS(ctx) }()
	c.kubernetes, err = startKubernetes(ctx, options.Assets, options.Dir)
	if err := errors.Join(err, <-account); err != nil {
		return c, err
	}
	if c.AdminKubeconfig, err = c.writeKubeconfig("admin", c.kubernetes.admin.BearerToken, "default"); err != nil {
		return c, err
	}
	if err := c.install(ctx); err != nil {
		return c, err
	}
	return c, c.StartManager(ctx)
}

// install applies the API, its admission policies and the roles, as a user would.
func (c *Cluster) install(ctx context.Context) error {
	if err := c.Namespace(ctx, managerNamespace); err != nil {
		return err
	}
	for _, folder := range []string{"crd", "rbac", "admission"} {
		if _, err := c.Kubectl(ctx, "apply", "--server-side", "-k", filepath.Join(c.options.Config, folder)); err != nil {
			return err
		}
	}
	_, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s", "crd",
		"runnerimagecaches.imagecache.dev", "projectimagecaches.imagecache.dev", "devcontainerimages.imagecache.dev")
	return err
}

// StartManager runs the manager, as its own service account and its own role in AWS.
func (c *Cluster) StartManager(ctx context.Context) error {
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, managerNamespace, "imagecache-manager")
	if err != nil {
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	env := append(c.aws.environment(), "KUBECONFIG="+kubeconfig)
	c.Metrics = "https://127.0.0.1:" + ports[0] + "/metrics"
	c.manager, err = start(c.dir, "manager", env, filepath.Join(c.options.Programs, "manager"),
		"--metrics-bind-address", "127.0.0.1:"+ports[0], "--health-probe-bind-address", "127.0.0.1:"+ports[1],
		"--leader-elect="+strconv.FormatBool(c.options.LeaderElection), "--leader-election-namespace", managerNamespace,
		"--namespace", managerNamespace, "--log-level", "debug")
	if err != nil {
		return err
	}
	return c.manager.until(ctx, func(ctx context.Context) error { return get(ctx, "http://127.0.0.1:"+ports[1]+"/readyz") })
}

// StopManager ends the manager alone, as an upgrade does.
func (c *Cluster) StopManager() {
	c.manager.stop()
	c.manager = nil
}

// Stop ends all programs.
func (c *Cluster) Stop() {
	c.prometheus.stop()
	c.manager.stop()
	c.emulator.stop()
	if c.kubernetes != nil {
		c.kubernetes.stop()
	}
}

// PIDs are the programs' process IDs, for whoever leaves the cluster running.
func (c *Cluster) PIDs() []string {
	var ids []string
	for _, p := range []*process{c.manager, c.emulator, c.kubernetes.apiServer, c.kubernetes.etcd} {
		ids = append(ids, strconv.Itoa(p.command.Process.Pid))
	}
	return ids
}

// Clients makes clients that may do anything.
func (c *Cluster) Clients() (*kubernetes.Clientset, error) {
	clients, err := kubernetes.NewForConfig(c.kubernetes.admin)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	return clients, nil
}

// Region is the AWS region.
func (c *Cluster) Region() string { return c.options.Region }

// RegistryHost is host:port of the ECR registry, which speaks plain HTTP.
func (c *Cluster) RegistryHost() string { return strings.TrimPrefix(c.aws.endpoint, "http://") }

// AWSConfig are the settings of an AWS client that is the account's root.
func (c *Cluster) AWSConfig() awssdk.Config { return c.aws.rootConfig() }

// AWSEnvironment are the environment variables under which the SDK reaches the account as its root.
func (c *Cluster) AWSEnvironment() []string { return c.aws.rootEnvironment() }

// Log is the path of a program's log: etcd, kube-apiserver, aws-emulator or manager.
func (c *Cluster) Log(program string) string { return filepath.Join(c.dir, program+".log") }

// IsProgram says whether a folder has a program of the name.
func IsProgram(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// AgeImages makes the images of a repository older, as if they had been pushed so much earlier. A manager that has read the
// push time of an image does not read it again for a lookup, but reads it at each count of images.
func (c *Cluster) AgeImages(ctx context.Context, repository string, by time.Duration) error {
	body := fmt.Sprintf(`{"repository":%q,"by":%q}`, repository, by)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.aws.endpoint+"/_emulator/images/age", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("age images: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("age images: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("age images: the emulator answers %s", response.Status)
	}
	return nil
}
