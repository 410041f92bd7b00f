// Package publish measures how long it takes from the end of an upload until the image can be used, and until no upload
// rights are left.
package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

const (
	namespace = "bench-publish"
	// builds is how many images are published, one after the other.
	builds = 40
	// warmup is how many of them come before the measuring.
	warmup = 5
	// slowest is when a publication is given up.
	slowest = time.Minute
)

// Run publishes images and measures the last part of each.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	w, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := errors.Join(w.StartManager(), w.Namespace(ctx, namespace)); err != nil {
		return nil, err
	}
	project, err := w.Project(ctx, namespace, "publish")
	if err != nil {
		return nil, err
	}
	var usable, removed []time.Duration
	for n := range warmup + builds {
		took, err := publish(ctx, w, project, n)
		if err != nil {
			return nil, fmt.Errorf("publication %d: %w", n, err)
		}
		if n >= warmup {
			usable, removed = append(usable, took.usable), append(removed, took.removed)
		}
	}
	return []figure.Figure{
		{Name: "end of an upload to a usable image, p50", Value: milliseconds(usable, 0.50), Unit: "ms", Goal: 100, Better: figure.Lower},
		{Name: "end of an upload to a usable image, p95", Value: milliseconds(usable, 0.95), Unit: "ms", Goal: 250, Better: figure.Lower},
		{Name: "end of an upload to removed credentials, p50", Value: milliseconds(removed, 0.50), Unit: "ms", Goal: 100, Better: figure.Lower},
		{Name: "end of an upload to removed credentials, p95", Value: milliseconds(removed, 0.95), Unit: "ms", Goal: 250, Better: figure.Lower},
	}, nil
}

// ending is how long the end of one publication took.
type ending struct{ usable, removed time.Duration }

// publish plays one environment, from its request to the published image.
func publish(ctx context.Context, w *world.World, project *v1alpha1.ProjectImageCache, n int) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	request := newRequest(project, n)
	if err := w.Client.Create(ctx, request); err != nil {
		return ending{}, fmt.Errorf("create request: %w", err)
	}
	named := client.MatchingFields{"metadata.name": request.Name}
	changes, err := w.Client.Watch(ctx, &v1alpha1.DevcontainerImageList{}, client.InNamespace(namespace), named)
	if err != nil {
		return ending{}, fmt.Errorf("watch request: %w", err)
	}
	defer changes.Stop()
	see := func(done func(*v1alpha1.DevcontainerImage) bool) error {
		for {
			select {
			case <-ctx.Done():
				return fmt.Errorf("it came no further than %v: %w", request.Status.Conditions, context.Cause(ctx))
			case event := <-changes.ResultChan():
				if object, ok := event.Object.(*v1alpha1.DevcontainerImage); ok {
					if request = object; done(request) {
						return nil
					}
				}
			}
		}
	}
	if err := see(func(r *v1alpha1.DevcontainerImage) bool { return r.Status.Role == v1alpha1.RoleBuilder }); err != nil {
		return ending{}, err
	}
	built, err := newImage(request)
	if err != nil {
		return ending{}, err
	}
	if err := patch(ctx, w, request, map[string]any{"build": built.report}); err != nil {
		return ending{}, err
	}
	if err := see(func(r *v1alpha1.DevcontainerImage) bool { return r.Status.PushCredentials != nil }); err != nil {
		return ending{}, err
	}
	if err := built.upload(ctx, w, request); err != nil {
		return ending{}, err
	}
	secret := request.Status.PushCredentials.SecretName
	secrets, err := w.Client.Watch(ctx, &corev1.SecretList{}, client.InNamespace(namespace), client.MatchingFields{"metadata.name": secret})
	if err != nil {
		return ending{}, fmt.Errorf("watch secret: %w", err)
	}
	defer secrets.Stop()
	began := time.Now()
	gone := make(chan time.Duration, 1)
	go func() {
		for event := range secrets.ResultChan() {
			if event.Type == watch.Deleted {
				gone <- time.Since(began)
				return
			}
		}
	}()
	if err := patch(ctx, w, request, map[string]any{"uploadAttempt": 1}); err != nil {
		return ending{}, err
	}
	if err := see(isUsable); err != nil {
		return ending{}, err
	}
	took := ending{usable: time.Since(began)}
	select {
	case took.removed = <-gone:
		return took, nil
	case <-ctx.Done():
		return ending{}, fmt.Errorf("secret %s stays: %w", secret, context.Cause(ctx))
	}
}

func isUsable(r *v1alpha1.DevcontainerImage) bool {
	return r.Status.Image != nil && meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady)
}

func newRequest(project *v1alpha1.ProjectImageCache, n int) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("e-%d", n)},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef:        &v1alpha1.ProjectReference{Name: project.Name},
			EnvironmentID:     fmt.Sprintf("e-%d", n),
			Trigger:           v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationImage,
			ConfigHash:        fmt.Sprintf("%016x%016x%032x", rand.Uint64(), rand.Uint64(), n),
		},
	}
}

// patch writes a part of the spec as a runner does.
func patch(ctx context.Context, w *world.World, request *v1alpha1.DevcontainerImage, spec map[string]any) error {
	content, err := mergePatch(spec)
	if err != nil {
		return err
	}
	if err := w.Client.Patch(ctx, request.DeepCopy(), client.RawPatch(types.MergePatchType, content)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// milliseconds is a quantile of durations.
func milliseconds(took []time.Duration, quantile float64) float64 {
	slices.Sort(took)
	index := min(int(float64(len(took))*quantile), len(took)-1)
	return float64(took[index]) / float64(time.Millisecond)
}
