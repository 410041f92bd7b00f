package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// completionTimeout limits how long the shell waits for the cluster.
const completionTimeout = 3 * time.Second

// CompleteProjects completes the first argument, or a flag's value, with project names.
func CompleteProjects(flags *ClusterFlags) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && command.ValidArgsFunction != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if SetFromEnvironment(command.Flags()) != nil { // not done yet when a shell asks
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return projectNames(command.Context(), flags), cobra.ShellCompDirectiveNoFileComp
	}
}

// projectNames returns the names of the namespace's projects, with their IDs. It returns none if it can't reach the
// cluster.
func projectNames(ctx context.Context, flags *ClusterFlags) []cobra.Completion {
	connection, namespace, err := flags.Connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	caches := &v1alpha1.ProjectImageCacheList{}
	if err := connection.List(ctx, caches, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var names []cobra.Completion
	for i := range caches.Items {
		names = append(names, cobra.CompletionWithDesc(caches.Items[i].Name, caches.Items[i].Spec.ProjectID))
	}
	return names
}

// CompleteRequests completes the first argument with the names of DevcontainerImages.
func CompleteRequests(flags *ClusterFlags) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || SetFromEnvironment(command.Flags()) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		connection, namespace, err := flags.Connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
		defer cancel()
		requests := &v1alpha1.DevcontainerImageList{}
		if err := connection.List(ctx, requests, client.InNamespace(namespace)); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for i := range requests.Items {
			names = append(names, cobra.CompletionWithDesc(requests.Items[i].Name, requests.Items[i].Spec.EnvironmentID))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
