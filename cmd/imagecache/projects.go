package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	kube "imagecache.dev/internal/cluster"
)

func newProjects(streams streams) *cobra.Command {
	var output output
	var everywhere bool
	var cluster *cluster
	command := &cobra.Command{
		Use:   "projects",
		Short: "Show what the projects' caches save and cost",
		Long: `Show the projects with their hit rate, the build time that hits saved, and the size and cost of their images.

Requests, hit rate and saved time count the requests that the cluster still has. A finished request is kept for a day
unless its spec sets another time. Cost is an upper bound, because images share layers.`,
		Example: `  # show the projects of the current namespace
  imagecache projects

  # show the projects of all namespaces
  imagecache projects -A`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := output.validate(); err != nil {
				return err
			}
			projects, err := listProjects(command.Context(), cluster, everywhere)
			if err != nil {
				return err
			}
			return printProjects(streams, &output, projects, everywhere)
		},
	}
	output.addFlags(command.Flags())
	command.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "show the projects of all namespaces")
	cluster = addClusterFlags(command)
	return command
}

func listProjects(ctx context.Context, cluster *cluster, everywhere bool) ([]catalog.Project, error) {
	connection, namespace, err := cluster.connect()
	if err != nil {
		return nil, err
	}
	if everywhere {
		namespace = ""
	}
	caches := &v1alpha1.ProjectImageCacheList{}
	if err := connection.List(ctx, caches, client.InNamespace(namespace)); err != nil {
		return nil, kube.Describe(err)
	}
	requests := &v1alpha1.DevcontainerImageList{}
	if err := connection.List(ctx, requests, client.InNamespace(namespace)); err != nil {
		return nil, kube.Describe(err)
	}
	return catalog.Projects(caches.Items, requests.Items), nil
}

func printProjects(streams streams, output *output, projects []catalog.Project, everywhere bool) error {
	if !output.isTable() {
		return output.encode(streams.out, projects)
	}
	if len(projects) == 0 {
		return writeLine(streams.err, "No projects found.")
	}
	columns := []column{
		{name: "Project"}, {name: "ID", wide: true}, {name: "Requests"}, {name: "Hit Rate"}, {name: "Saved"},
		{name: "Images"}, {name: "Size"}, {name: "USD/Month"}, {name: "Ready"}, {name: "Reason"},
	}
	if everywhere {
		columns = append([]column{{name: "Namespace"}}, columns...)
	}
	var rows [][]any
	for _, project := range projects {
		rate := "<none>"
		if project.HitRate != nil {
			rate = fmt.Sprintf("%.0f %%", 100**project.HitRate)
		}
		images := unknown
		if project.Images != nil {
			images = fmt.Sprint(*project.Images)
		}
		row := []any{
			project.Name, project.ProjectID, project.Requests, rate, secondsText(&project.SavedSeconds),
			images, sizeText(project.SizeBytes), textOr(project.EstimatedMonthlyCostUSD, unknown), project.Ready, project.Reason,
		}
		if everywhere {
			row = append([]any{project.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	return output.table(streams.out, columns, rows)
}
