package dashboard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// fill writes a runner, its projects and their requests, spread over a week, as a manager leaves them.
func fill(ctx context.Context, w *world.World) error {
	runner := &v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "runner"},
		Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: "runner", Region: w.AWS.Region()},
	}
	now := time.Now()
	err := errors.Join(
		w.Namespace(ctx, namespace), w.Client.Create(ctx, runner),
		w.Seed(ctx, "projectimagecaches", projects, func(n int) client.Object { return project(n, now) }),
		w.Seed(ctx, "devcontainerimages", requests, func(n int) client.Object { return request(n, now) }),
	)
	if err != nil {
		return err
	}
	return errors.Join(digested(ctx, w, &v1alpha1.ProjectImageCacheList{}), digested(ctx, w, &v1alpha1.DevcontainerImageList{}))
}

// digested waits until the API server has taken a kind into its cache. It is busy with that for a while after it was written
// into etcd behind its back, which is no time of the dashboard.
func digested(ctx context.Context, w *world.World, list client.ObjectList) error {
	if err := w.Client.List(ctx, list, client.Limit(1)); err != nil {
		return err
	}
	atLeast := &client.ListOptions{Raw: &metav1.ListOptions{
		LabelSelector: "no=object", ResourceVersion: list.GetResourceVersion(),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}}
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		last = w.Client.List(ctx, list, atLeast) // a cache that is too old answers with an error
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the API server's cache: %w", errors.Join(err, last))
	}
	return nil
}

func meta(name string, created time.Time) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: uuid.NewUUID(), Generation: 1, CreationTimestamp: metav1.NewTime(created.Truncate(time.Second)),
	}
}

func condition(kind, reason string, at time.Time) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: "this is as long as messages of conditions usually are",
		LastTransitionTime: metav1.NewTime(at.Truncate(time.Second)), ObservedGeneration: 1,
	}
}

func project(n int, now time.Time) *v1alpha1.ProjectImageCache {
	made := &v1alpha1.ProjectImageCache{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ProjectImageCache"},
		ObjectMeta: meta(fmt.Sprintf("project-%05d", n), now),
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "runner"}, ProjectID: fmt.Sprintf("p-%05d", n)},
	}
	made.Status.ObservedGeneration = 1
	made.Status.Images = &v1alpha1.ImageStatistics{
		Count: ptr.To(int64(10)), SizeBytes: ptr.To(int64(5e9)), EstimatedMonthlyCostUSD: "0.50", DueCount: ptr.To(int64(1)),
	}
	for _, kind := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionRepositoryReady, v1alpha1.ConditionLifecyclePolicyReady,
		v1alpha1.ConditionRepositoryPolicyReady, v1alpha1.ConditionTagsReady, v1alpha1.ConditionPullCredentialsReady,
	} {
		made.Status.Conditions = append(made.Status.Conditions, condition(kind, v1alpha1.ReasonSucceeded, now))
	}
	return made
}

func request(n int, now time.Time) *v1alpha1.DevcontainerImage {
	created := now.Add(-time.Duration(n) * 6 * time.Second)
	hash := fmt.Sprintf("%064x", n%(requests/10))
	made := &v1alpha1.DevcontainerImage{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DevcontainerImage"},
		ObjectMeta: meta(fmt.Sprintf("request-%06d", n), created),
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: fmt.Sprintf("project-%05d", n%projects)}, EnvironmentID: fmt.Sprintf("env-%06d", n),
			Trigger: v1alpha1.TriggerEnvironmentCreated, ConfigurationType: v1alpha1.ConfigurationDockerfile, ConfigHash: hash,
			Platform: "linux/amd64", Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded, DurationSeconds: ptr.To(int64(9))},
		},
	}
	for i := range 8 {
		made.Spec.Inputs = append(made.Spec.Inputs, v1alpha1.KeyInput{Name: fmt.Sprintf("input-%d", i), Digest: "sha256:" + hash})
	}
	made.Status = v1alpha1.DevcontainerImageStatus{
		ObservedGeneration: 1, ConfigHash: hash, CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound,
		Explanation: strings.Repeat("found the image of an earlier environment; ", 3), SavedSeconds: ptr.To(int64(200)),
		FinishedAt: ptr.To(metav1.NewTime(created.Truncate(time.Second))),
		Image: &v1alpha1.CachedImage{
			Reference: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/p@sha256:" + hash, Digest: "sha256:" + hash,
		},
		Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionReady, v1alpha1.ReasonHit, created), condition(v1alpha1.ConditionLookedUp, "Hit", created),
			condition(v1alpha1.ConditionPulled, v1alpha1.ReasonSucceeded, created),
		},
	}
	return made
}
