//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

// controllerPart plays the controller's part for requests that build and publish, or that pull a published image.
type controllerPart struct {
	t      *testing.T
	server *apiServer
	host   string // of the registry
	// cached is the image that a request hits, by its environment's ID: *v1alpha1.CachedImage. Other requests are builders.
	cached sync.Map
}

// playController makes a cluster with a controller whose images are in a registry.
func playController(t *testing.T, host string) *controllerPart {
	t.Helper()
	c := &controllerPart{
		t: t, server: newAPIServer(t, append(someObjects(), loginSecret("pull", host), loginSecret("push", host))...),
		host: host,
	}
	c.server.answer = func(request map[string]any) map[string]any { return unstructured(t, c.answer(request)) }
	c.server.report = c.reported
	c.server.handOver()
	return c
}

// repositoryOf is the repository that an environment uses: each has its own.
func (c *controllerPart) repositoryOf(environment string) string {
	return c.host + "/" + strings.ToLower(environment)
}

// requestOf returns a stored request as its type.
func requestOf(t *testing.T, stored map[string]any) *v1alpha1.DevcontainerImage {
	t.Helper()
	content, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	request := &v1alpha1.DevcontainerImage{}
	if err := json.Unmarshal(content, request); err != nil {
		t.Fatal(err)
	}
	return request
}

func unstructured(t *testing.T, status v1alpha1.DevcontainerImageStatus) map[string]any {
	t.Helper()
	content, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(content, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// answer answers a new request: with a hit, or with the build lease.
func (c *controllerPart) answer(stored map[string]any) v1alpha1.DevcontainerImageStatus {
	request := requestOf(c.t, stored)
	if cached, hit := c.cached.Load(request.Spec.EnvironmentID); hit {
		image, _ := cached.(*v1alpha1.CachedImage)
		return v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Image: image,
			PullCredentials: &v1alpha1.CredentialReference{SecretName: "pull"},
			Conditions:      []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonHit, "found")},
		}
	}
	lease := &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Name: "build-" + request.Name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To(request.Name + "/" + uidOfRequests)},
	}
	c.server.add(lease)
	return v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder,
		RepositoryURI: c.repositoryOf(request.Spec.EnvironmentID),
		Builder:       &v1alpha1.BuilderReference{Name: request.Name, LeaseName: lease.Name},
	}
}

// reported grants the upload of a reported image, and publishes what was uploaded.
func (c *controllerPart) reported(stored map[string]any) {
	request := requestOf(c.t, stored)
	build := request.Spec.Build
	if build == nil || build.Outcome != v1alpha1.BuildSucceeded {
		return
	}
	if request.Spec.UploadAttempt == nil {
		var manifest v1.Manifest
		if err := json.Unmarshal([]byte(build.Manifest), &manifest); err != nil {
			c.t.Error(err)
			return
		}
		for _, blob := range append(manifest.Layers, manifest.Config) {
			request.Status.MissingLayers = append(request.Status.MissingLayers, blob.Digest.String())
		}
		request.Status.PushCredentials = &v1alpha1.CredentialReference{SecretName: "push"}
	} else {
		request.Status.Image = &v1alpha1.CachedImage{Reference: c.repositoryOf(request.Spec.EnvironmentID) + "@published"}
		request.Status.Conditions = []metav1.Condition{isTrue(v1alpha1.ConditionPublished, v1alpha1.ReasonPublished, "published")}
	}
	stored["status"] = unstructured(c.t, request.Status)
}
