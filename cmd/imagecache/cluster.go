package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kube "imagecache.dev/internal/cluster"
)

// cluster is how a command reaches the cluster: kubectl's flags.
type cluster struct {
	flags *genericclioptions.ConfigFlags
	set   *pflag.FlagSet
}

// addClusterFlags adds kubectl's flags to a command.
func addClusterFlags(command *cobra.Command) *cluster {
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
	return &cluster{flags: flags, set: ours}
}

// values returns the flags that are set, by name. They may hold credentials.
func (c *cluster) values() map[string][]string {
	values := map[string][]string{}
	c.set.VisitAll(func(flag *pflag.Flag) {
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

// setValues sets the flags to what values returned in another process.
func (c *cluster) setValues(values map[string][]string) error {
	for name, given := range values {
		flag := c.set.Lookup(name)
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

// connect creates the client. It makes no call to the cluster.
func (c *cluster) connect() (made client.WithWatch, namespace string, err error) {
	loader := c.flags.ToRawKubeConfigLoader()
	namespace, _, err = loader.Namespace()
	if err != nil {
		return nil, "", &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, namespace, &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	inCluster := os.Getenv("KUBERNETES_SERVICE_HOST") != ""
	if len(raw.Clusters) == 0 && *c.flags.APIServer == "" && !inCluster {
		return nil, namespace, &kube.UnreachableError{Message: "no cluster is configured: set --kubeconfig or KUBECONFIG"}
	}
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, namespace, &kube.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	config.UserAgent = "imagecache"
	made, err = kube.NewClient(config)
	return made, namespace, err
}
