package main

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Hashes of the services of an environment with a Docker Compose configuration.
var (
	appHash    = strings.Repeat("c0ffee00", 8)
	workerHash = strings.Repeat("deadbeef", 8)
)

// composeRequests are what one environment asked of project web for its two services: one image was published, and the
// other can't be.
func composeRequests() []client.Object {
	request := func(name, service, hash string, status v1alpha1.DevcontainerImageStatus) *v1alpha1.DevcontainerImage {
		status.ConfigHash, status.FinishedAt = hash, ptr.To(pastTime(2*time.Hour))
		return &v1alpha1.DevcontainerImage{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: pastTime(2 * time.Hour), Generation: 1},
			Spec: v1alpha1.DevcontainerImageSpec{
				ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: "env-4", Trigger: v1alpha1.TriggerEnvironmentCreated,
				Platform: "linux/amd64", ConfigurationType: v1alpha1.ConfigurationCompose, Service: service, ConfigHash: hash,
				Inputs: []v1alpha1.KeyInput{{Name: "ComposeFile compose.yml", Digest: "sha256:1"}, {Name: "Service " + service, Digest: "sha256:2"}},
			},
			Status: status,
		}
	}
	app := request("env-4-c0ffee00-d", "app", appHash, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder,
		Explanation: "no image with this configuration is cached",
		Image: &v1alpha1.CachedImage{
			Reference: "registry.example/r@sha256:" + appHash, Digest: "sha256:" + appHash, SizeBytes: ptr.To(int64(91_000_000)),
			BuildSeconds: ptr.To(int64(60)), PushedAt: ptr.To(pastTime(2 * time.Hour)), ExpiresAt: ptr.To(metav1.NewTime(pastTime(2*time.Hour).AddDate(0, 0, 30))),
		},
		Conditions: []metav1.Condition{isTrue(v1alpha1.ConditionPublished, v1alpha1.ReasonPublished, "published")},
	})
	worker := request("env-4-deadbeef-e", "worker", workerHash, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleLocalBuild,
		Explanation: "no image with this configuration is cached; environment env-4 was already created with request " +
			"env-4-12345678-f, and only the first request for service worker may publish",
		Conditions: []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonLocalBuild, "builds locally")},
	})
	return []client.Object{app, worker}
}
