package inspect

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cluster"
)

// Doctor checks everything that the cache needs to work.
type Doctor struct {
	Client    client.Client
	Config    *rest.Config
	Namespace string
	// ClusterError is why no cluster is configured. Then Doctor checks only the machine.
	ClusterError error
	// Project to check: the object's name or the project's ID. If it is empty, Doctor checks only the cluster and the
	// machine.
	Project string
	// FindEngine finds this machine's builder.
	FindEngine func(ctx context.Context) (builder.Engine, error)
	// AWS enables the checks that call AWS.
	AWS bool
	Now func() time.Time
}

// Examine runs the checks in the order of their dependencies.
func (d *Doctor) Examine(ctx context.Context) []Finding {
	list := d.machine(ctx)
	if d.ClusterError != nil {
		f := &findings{area: areaCluster}
		f.add("configuration", ResultFailed, d.ClusterError.Error(), "use the kubeconfig of the runner's service account")
		return append(list, f.list...)
	}
	found, ok := clusterFindings(ctx, d.Config, d.Namespace, d.Now)
	list = append(list, found...)
	if !ok || d.Project == "" {
		return list
	}
	f := &findings{area: areaProject}
	project, err := cluster.FindProject(ctx, d.Client, d.Namespace, d.Project)
	if err != nil {
		f.add("object", ResultFailed, err.Error(), "apply a ProjectImageCache, or name another namespace")
		return append(list, f.list...)
	}
	f.ok("object", project.Namespace+"/"+project.Name)
	list = append(list, d.composeFindings(ctx, project)...)
	cache := &v1alpha1.RunnerImageCache{}
	err = d.Client.Get(ctx, types.NamespacedName{Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name}, cache)
	if err != nil {
		f.add(
			"runner", ResultFailed,
			"can't get RunnerImageCache "+project.Spec.RunnerRef.Name+": "+cluster.Describe(err).Error(),
			"apply a RunnerImageCache of that name",
		)
		return append(list, f.list...)
	}
	list = append(list, RunnerFindings(cache)...)
	list = append(list, f.list...)
	list = append(list, ProjectFindings(project, d.Now())...)
	list = append(list, registryFindings(ctx, d.Client, project)...)
	if d.AWS {
		list = append(list, awsFindings(ctx, cache, project)...)
	}
	return list
}
