package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/runner"
)

// cluster is how a command reaches the cluster: kubectl's flags.
type cluster struct {
	flags *genericclioptions.ConfigFlags
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
	return &cluster{flags: flags}
}

// connect creates the client. It makes no call to the cluster.
func (c *cluster) connect() (made client.WithWatch, namespace string, err error) {
	loader := c.flags.ToRawKubeConfigLoader()
	namespace, _, err = loader.Namespace()
	if err != nil {
		return nil, "", &runner.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, namespace, &runner.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	inCluster := os.Getenv("KUBERNETES_SERVICE_HOST") != ""
	if len(raw.Clusters) == 0 && *c.flags.APIServer == "" && !inCluster {
		return nil, namespace, &runner.UnreachableError{Message: "no cluster is configured: set --kubeconfig or KUBECONFIG"}
	}
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, namespace, &runner.UnreachableError{Message: "read kubeconfig: " + err.Error(), Err: err}
	}
	config.UserAgent = "imagecache"
	made, err = runner.NewClient(config)
	return made, namespace, err
}
