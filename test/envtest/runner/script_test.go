package runner_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

// The names of what the scripted controller makes.
const (
	leaseName  = "build-lease"
	pullSecret = "pull-secret"
	pushSecret = "push-secret"
	password   = "secret-password"
)

// of is a name of its own for each service of Docker Compose.
func of(image *v1alpha1.DevcontainerImage, name string) string {
	if image.Spec.Service == "" {
		return name
	}
	return name + "-" + image.Spec.Service
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// secret makes a Secret with the login for a registry.
func (w *world) secret(name, registry string) {
	w.t.Helper()
	config, err := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]any{"auth": []byte("AWS:" + password)}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: config},
	})
}

// lease makes the Lease that a request holds as builder.
func (w *world) lease(ctx context.Context, image *v1alpha1.DevcontainerImage) {
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: of(image, leaseName)},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To(image.Name + "/" + string(image.UID))},
	}
	if err := w.client.Create(ctx, lease); err != nil {
		w.t.Errorf("create lease: %v", err)
	}
}

// theLease reads the Lease.
func (w *world) theLease(ctx context.Context) *coordinationv1.Lease {
	w.t.Helper()
	lease := &coordinationv1.Lease{}
	lease.Namespace, lease.Name = w.namespace, leaseName
	if err := w.client.Get(ctx, keyOf(lease), lease); err != nil {
		w.t.Errorf("get lease: %v", err)
	}
	return lease
}

// untilRenewed waits for the builder's first renewal of its Lease.
func (w *world) untilRenewed(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		return w.theLease(ctx).Spec.RenewTime != nil, nil
	})
}

func hit(buildSeconds int64) *v1alpha1.DevcontainerImageStatus {
	return &v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Explanation: "found the image of 3 h ago",
		Image: &v1alpha1.CachedImage{
			Reference: "registry.example/r@sha256:" + strings.Repeat("1", 64), Digest: "sha256:" + strings.Repeat("1", 64),
			BuildSeconds: &buildSeconds, SizeBytes: ptr.To(int64(45_200_000)),
		},
		PullCredentials: &v1alpha1.CredentialReference{SecretName: pullSecret, ExpiresAt: metav1.Now()},
		Conditions:      []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonHit, "found")},
	}
}

func builderStatus(image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
	return &v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Explanation: "no image with this configuration is cached",
		Role:    v1alpha1.RoleBuilder,
		Builder: &v1alpha1.BuilderReference{Name: image.Name, LeaseName: of(image, leaseName)},
	}
}

func waiterStatus() *v1alpha1.DevcontainerImageStatus {
	return &v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleWaiter,
		Builder: &v1alpha1.BuilderReference{Name: "other", EnvironmentID: "env-0", LeaseName: "other-lease", ExpectedSeconds: ptr.To(int64(90))},
	}
}

// once answers a request that has no answer yet, and nothing later.
func once(status func(image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus) answer {
	return func(_ context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		if len(image.Status.Conditions) > 0 || image.Status.CacheResult != "" {
			return nil
		}
		return status(image)
	}
}

// startRegistry starts a registry on loopback that wants the scripted password.
func (w *world) startRegistry() (host string) {
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != "AWS" || given != password {
			out.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(out, r)
	}))
	w.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// hasBlob asks the registry for a blob.
func hasBlob(t *testing.T, host, digest string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+host+"/v2/gitpod-runner-r/projects/web-id/image-build/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("AWS", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// publisher is a scripted controller that publishes what a builder reports. It asks for the upload times times.
func (w *world) publisher(host string, times int32) answer {
	return func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus {
		status := image.Status.DeepCopy()
		attempts := ptr.Deref(image.Spec.UploadAttempt, 0)
		switch {
		case status.CacheResult == "":
			w.lease(ctx, image)
			return builderStatus(image)
		case image.Spec.Build == nil || image.Spec.Build.Outcome != v1alpha1.BuildSucceeded || len(status.Conditions) > 0 && status.Conditions[0].Status == metav1.ConditionTrue:
			return nil
		case attempts >= times:
			status.MissingLayers, status.PushCredentials = nil, nil
			status.Image = &v1alpha1.CachedImage{Reference: host + "/r@sha256:" + strings.Repeat("2", 64), Digest: "sha256:" + strings.Repeat("2", 64)}
			status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionPublished, metav1.ConditionTrue, v1alpha1.ReasonPublished, "there")}
			return status
		case status.PushCredentials != nil && ptr.Deref(status.ObservedUploadAttempt, 0) == attempts:
			return nil
		}
		checked, rejection := publication.Check(
			publication.Report{Manifest: []byte(image.Spec.Build.Manifest), Config: []byte(image.Spec.Build.Config)},
			publication.Expectation{Hash: image.Spec.ConfigHash, HashVersion: 1, UID: string(image.UID), Platform: image.Spec.Platform})
		if rejection != nil {
			w.t.Errorf("the report is rejected: %v", rejection)
			return nil
		}
		if attempts == 0 {
			w.secret(of(image, pushSecret), host)
		}
		status.RepositoryURI = host + "/gitpod-runner-r/projects/web-id/image-build"
		status.MissingLayers = checked.Blobs
		w.asked = checked.Blobs
		status.ObservedUploadAttempt = &attempts
		status.PushCredentials = &v1alpha1.CredentialReference{SecretName: of(image, pushSecret), ExpiresAt: metav1.Now()}
		status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonUploading, "upload")}
		return status
	}
}
