// Package targets measures what many accounts, regions and roles cost one manager: its memory, while it answers for all
// of them.
package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

const (
	// count is how many targets there are: a runner and a project for each.
	count = 200
	// images is how many images each project has, and configBytes how large their configurations are. Together they are
	// twice what the manager may remember.
	images, configBytes = 10, 64 << 10
	// limit is the memory limit of config/manager/deployment.yaml, in MB.
	limit = 512

	namespace = "bench"
	atOnce    = 8
)

// bench is a world with the targets' roles.
type bench struct {
	*world.World
	roles []string // ARNs
}

// Run lets one manager answer requests for every image of two hundred targets, and reads its memory.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	started, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started.Close()) }()
	b := &bench{World: started}
	folder, err := os.MkdirTemp("", "bench-targets-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	allowed, err := b.makeRoles(ctx)
	if err != nil {
		return nil, err
	}
	manager, err := b.StartProcess(folder, allowed...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	if err := b.makeProjects(ctx); err != nil {
		return nil, err
	}
	hashes, err := b.fill(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.askForAll(ctx, hashes); err != nil {
		return nil, err
	}
	took := time.Since(began)
	for _, read := range []struct{ name, line string }{{"memory with 200 targets", "VmRSS"}, {"most memory with 200 targets", "VmHWM"}} {
		memory, err := manager.Memory(read.line)
		if err != nil {
			return figures, err
		}
		figures = append(figures, figure.Figure{Name: "targets: the manager's " + read.name, Value: memory, Unit: "MB", Goal: limit, Better: figure.Lower})
	}
	return append(figures, figure.Figure{
		Name: "targets: answers a second, each of an image that is asked for first", Value: count * images / took.Seconds(), Unit: "1/s", Better: figure.Higher,
	}), nil
}

// makeProjects makes a runner and a project for each target, and waits until all are ready.
func (b *bench) makeProjects(ctx context.Context) error {
	if err := b.Namespace(ctx, namespace); err != nil {
		return err
	}
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n := range count {
		group.Go(func() error {
			runner := &v1alpha1.RunnerImageCache{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: nameOf(n)},
				Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: nameOf(n), Region: b.AWS.Region(), AssumeRoleARN: b.roles[n]},
			}
			project := &v1alpha1.ProjectImageCache{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: nameOf(n)},
				Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: nameOf(n)}, ProjectID: nameOf(n)},
			}
			if err := errors.Join(b.Client.Create(creating, runner), b.Client.Create(creating, project)); err != nil {
				return fmt.Errorf("make project: %w", err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return poll(ctx, "projects", count, func(ctx context.Context) (int, error) {
		var list v1alpha1.ProjectImageCacheList
		if err := b.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return 0, err
		}
		ready := 0
		for n := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[n].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		return ready, nil
	})
}

// askForAll makes a request for each image, and waits until all are hits.
func (b *bench) askForAll(ctx context.Context, hashes [][]string) error {
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n := range count {
		group.Go(func() error {
			for m, hash := range hashes[n] {
				name := fmt.Sprintf("%s-%d", nameOf(n), m)
				err := b.Client.Create(creating, &v1alpha1.DevcontainerImage{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
					Spec: v1alpha1.DevcontainerImageSpec{
						ProjectRef: &v1alpha1.ProjectReference{Name: nameOf(n)}, EnvironmentID: name, Trigger: v1alpha1.TriggerEnvironmentCreated,
						ConfigurationType: v1alpha1.ConfigurationImage, ConfigHash: hash,
					},
				})
				if err != nil {
					return fmt.Errorf("create request: %w", err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return poll(ctx, "hits", count*images, func(ctx context.Context) (int, error) {
		var list v1alpha1.DevcontainerImageList
		if err := b.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return 0, err
		}
		hits := 0
		for n := range list.Items {
			switch result := list.Items[n].Status.CacheResult; result {
			case "":
			case v1alpha1.CacheHit:
				hits++
			default:
				return 0, fmt.Errorf("request %s is a %s: %s", list.Items[n].Name, result, list.Items[n].Status.Explanation)
			}
		}
		return hits, nil
	})
}

// poll waits until there are so many of something.
func poll(ctx context.Context, what string, want int, seen func(context.Context) (int, error)) error {
	last := 0
	err := wait.PollUntilContextTimeout(ctx, time.Second, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		now, err := seen(ctx)
		last = now
		return now >= want, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d %s, %d so far: %w", want, what, last, err)
	}
	return nil
}

func nameOf(n int) string { return fmt.Sprintf("target-%03d", n) }
