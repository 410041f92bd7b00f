package cache

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/display"
)

// NewProjects returns the command `imagecache projects`.
func NewProjects(streams cli.Streams) *cobra.Command {
	var output cli.Output
	var everywhere bool
	var flags *cli.ClusterFlags
	command := &cobra.Command{
		Use:   "projects",
		Short: "Show what the projects' caches save and cost",
		Long: `Show the projects with their hit rate, the build time that hits saved, and the size and cost of their images. With
-o wide the table also shows how many images are due: imagecache prebuild --due replaces them.

Requests, hit rate and saved time count the requests that the cluster still has. A finished request is kept for a day
unless its spec sets another time. An environment with a Docker Compose configuration has one for each service, so that
saved time is a sum over images. Cost is an upper bound, because images share layers.`,
		Example: `  # show the projects of the current namespace
  imagecache projects

  # show the projects of all namespaces
  imagecache projects -A`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := output.Validate(); err != nil {
				return err
			}
			projects, err := listProjects(command.Context(), flags, everywhere)
			if err != nil {
				return err
			}
			return printProjects(streams, &output, projects, everywhere)
		},
	}
	output.AddFlags(command.Flags())
	command.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "show the projects of all namespaces")
	flags = cli.AddClusterFlags(command)
	return command
}

func listProjects(ctx context.Context, flags *cli.ClusterFlags, everywhere bool) ([]catalog.Project, error) {
	connection, namespace, err := flags.Connect()
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

func printProjects(streams cli.Streams, output *cli.Output, projects []catalog.Project, everywhere bool) error {
	if !output.IsTable() {
		return output.Encode(streams.Out, projects)
	}
	if len(projects) == 0 {
		return cli.WriteLine(streams.Err, "No projects found.")
	}
	columns := []cli.Column{
		{Name: "Project"}, {Name: "ID", Wide: true}, {Name: "Requests"}, {Name: "Hit Rate"}, {Name: "Saved"},
		{Name: "Images"}, {Name: "Size"}, {Name: "USD/Month"}, {Name: "Due", Wide: true}, {Name: "Ready"}, {Name: "Reason"},
	}
	if everywhere {
		columns = append([]cli.Column{{Name: "Namespace"}}, columns...)
	}
	var rows [][]any
	for _, project := range projects {
		rate := display.None
		if project.HitRate != nil {
			rate = fmt.Sprintf("%.0f %%", 100**project.HitRate)
		}
		images, due := display.Unknown, display.Unknown
		if project.Images != nil {
			images = fmt.Sprint(*project.Images)
		}
		if project.Due != nil {
			due = fmt.Sprint(*project.Due)
		}
		row := []any{
			project.Name, project.ProjectID, project.Requests, rate, display.Seconds(&project.SavedSeconds),
			images, display.Size(project.SizeBytes), display.Or(project.EstimatedMonthlyCostUSD, display.Unknown), due,
			project.Ready, project.Reason,
		}
		if everywhere {
			row = append([]any{project.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	return output.Table(streams.Out, columns, rows)
}
