package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kube "imagecache.dev/internal/cluster"
)

// ClusterFlags are kubectl's flags of a command: how it reaches the cluster.
type ClusterFlags struct {
	flags *genericclioptions.ConfigFlags
	set   *pflag.FlagSet
}

// AddClusterFlags adds kubectl's flags to a command.
func AddClusterFlags(command *cobra.Command) *ClusterFlags {
	flags := genericclioptions.NewConfigFlags(true)
	flags.CacheDir = nil // nothing is discovered, so nothing is cached
	ours := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	flags.AddFlags(ours)
	ours.VisitAll(func(flag *pflag.Flag) {
		switch flag.Name {
		case "namespace", "context", "kubeconfig":
		default:
			_ = ours.SetAnnotation(flag.Name, annotationNoVariable, nil)
		}
	})
	ours.VisitAll(func(flag *pflag.Flag) { _ = ours.SetAnnotation(flag.Name, annotationCluster, nil) })
	command.Flags().AddFlagSet(ours)
	return &ClusterFlags{flags: flags, set: ours}
}

// Values returns the flags that are set, by name. They may hold credentials.
func (f *ClusterFlags) Values() map[string][]string {
	values := map[string][]string{}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			return
		}
		values[flag.Name] = []string{flag.Value.String()}
		if several, ok := flag.Value.(pflag.SliceValue); ok {
			values[flag.Name] = several.GetSlice()
		}
	})
	return values
}

// SetValues sets the flags to what Values returned in another process.
func (f *ClusterFlags) SetValues(values map[string][]string) error {
	for name, given := range values {
		flag := f.set.Lookup(name)
		if flag == nil {
			return fmt.Errorf("set --%s: no such flag", name)
		}
		var err error
		if several, ok := flag.Value.(pflag.SliceValue); ok {
			err = several.Replace(given)
		} else if len(given) == 1 {
			err = flag.Value.Set(given[0])
		}
		if err != nil {
			return fmt.Errorf("set --%s: %w", name, err)
		}
	}
	return nil
}

// Connect creates the client, and returns the namespace that the flags name. It makes no call to the cluster. Without a
// usable kubeconfig it returns a cluster.UnreachableError.
func (f *ClusterFlags) Connect() (made client.WithWatch, namespace string, err error) {
	loader := f.flags.ToRawKubeConfigLoader()
	namespace, _, err = loader.Namespace()
	if err != nil {
		return nil, "", &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, namespace, &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	inCluster := os.Getenv("KUBERNETES_SERVICE_HOST") != ""
	if len(raw.Clusters) == 0 && *f.flags.APIServer == "" && !inCluster {
		return nil, namespace, &kube.UnreachableError{Message: "no cluster is configured: set --kubeconfig or KUBECONFIG"}
	}
	config, err := f.flags.ToRESTConfig()
	if err != nil {
		return nil, namespace, &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	config.UserAgent = "imagecache"
	made, err = kube.NewClient(config)
	return made, namespace, err
}

// RESTConfig returns how to call the cluster's API server.
func (f *ClusterFlags) RESTConfig() (*rest.Config, error) { return f.flags.ToRESTConfig() }
