package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	ctrllog.SetLogger(logr.Discard()) // as main does
	os.Exit(m.Run())
}

// uidOfRequests is the UID that a new object gets.
const uidOfRequests = "uid-1"

// testNamespace is the one that the kubeconfig of a test names.
const testNamespace = "runner-demo"

// apiServer answers as a cluster does, as far as the tool asks: from memory, and with the controller's part played by
// functions. What a real API server makes of the same requests is tested in test/envtest/runner and test/e2e.
type apiServer struct {
	t          *testing.T
	kubeconfig string
	// answer is the status that a new request gets at once.
	answer func(request map[string]any) map[string]any
	// evict is what the controller does after an eviction was asked for: nothing if it is nil.
	evict func(project map[string]any)
	// report is what the controller does after a runner wrote a report: nothing if it is nil.
	report func(request map[string]any)

	mu sync.Mutex
	// changed is closed when an object changes.
	changed chan struct{}
	objects map[string]map[string]any // by path
	// denied are verb and resource of what an access review refuses.
	denied []string
}

// newAPIServer starts a cluster and writes a kubeconfig for it.
func newAPIServer(t *testing.T, objects ...client.Object) *apiServer {
	t.Helper()
	s := &apiServer{t: t, objects: map[string]map[string]any{}, changed: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u", "user": {"token": "t"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": %q}}]}`, server.URL, testNamespace)
	if err := os.WriteFile(s.kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", s.kubeconfig)
	for _, object := range objects {
		s.add(object)
	}
	s.handOver()
	return s
}

// handOver gives what the test has set up to the requests that come from now on. A program that runs as another process
// gives the race detector no order of the two.
func (s *apiServer) handOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

// resources are the paths below which each kind is.
var resources = map[string]string{
	"RunnerImageCache": "/apis/imagecache.dev/v1alpha1/namespaces/%s/runnerimagecaches/", "ProjectImageCache": "/apis/imagecache.dev/v1alpha1/namespaces/%s/projectimagecaches/",
	"DevcontainerImage": "/apis/imagecache.dev/v1alpha1/namespaces/%s/devcontainerimages/", "Secret": "/api/v1/namespaces/%s/secrets/",
	"Lease": "/apis/coordination.k8s.io/v1/namespaces/%s/leases/",
}

// add stores an object; its kind is that of its Go type.
func (s *apiServer) add(object client.Object) {
	s.t.Helper()
	kind := strings.TrimPrefix(fmt.Sprintf("%T", object), "*v1alpha1.")
	kind = strings.TrimPrefix(kind, "*v1.")
	if object.GetNamespace() == "" {
		object.SetNamespace(testNamespace)
	}
	object.SetResourceVersion("1")
	content, err := json.Marshal(object)
	if err != nil {
		s.t.Fatal(err)
	}
	var stored map[string]any
	if err := json.Unmarshal(content, &stored); err != nil {
		s.t.Fatal(err)
	}
	s.objects[fmt.Sprintf(resources[kind], object.GetNamespace())+object.GetName()] = stored
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.URL.Path == "/version":
		reply(w, http.StatusOK, map[string]any{"gitVersion": "v1.37.2"})
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		s.review(w, r)
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case r.Method == http.MethodGet:
		s.get(w, r)
	case r.Method == http.MethodPost:
		s.create(w, r)
	case r.Method == http.MethodPatch:
		s.patch(w, r)
	case r.Method == http.MethodPut:
		s.update(w, r)
	default:
		s.refuse(w, r, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	}
}

func reply(w http.ResponseWriter, code int, value any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

func (s *apiServer) refuse(w http.ResponseWriter, r *http.Request, code int, reason metav1.StatusReason) {
	reply(w, code, map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
		"message": string(reason), "details": map[string]any{"name": filepath.Base(r.URL.Path)},
	})
}

func (s *apiServer) get(w http.ResponseWriter, r *http.Request) {
	if object, found := s.objects[r.URL.Path]; found {
		reply(w, http.StatusOK, object)
		return
	}
	if !slices.Contains([]string{"runnerimagecaches", "projectimagecaches", "devcontainerimages"}, filepath.Base(r.URL.Path)) {
		s.refuse(w, r, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	items := []any{}
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		folder := filepath.Dir(path)
		everywhere := strings.HasSuffix(folder, "/"+filepath.Base(r.URL.Path)) && !strings.Contains(r.URL.Path, "/namespaces/")
		if (folder == r.URL.Path || everywhere) && selected(s.objects[path], r.URL.Query().Get("fieldSelector")) {
			items = append(items, s.objects[path])
		}
	}
	kind := map[string]string{"runnerimagecaches": "RunnerImageCacheList", "projectimagecaches": "ProjectImageCacheList", "devcontainerimages": "DevcontainerImageList"}
	reply(w, http.StatusOK, map[string]any{"kind": kind[filepath.Base(r.URL.Path)], "apiVersion": "imagecache.dev/v1alpha1", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
}

// selected says whether an object has a field's value: "spec.projectID=web".
func selected(object map[string]any, selector string) bool {
	if selector == "" {
		return true
	}
	field, want, _ := strings.Cut(selector, "=")
	var value any = object
	for name := range strings.SplitSeq(field, ".") {
		inner, _ := value.(map[string]any)
		value = inner[name]
	}
	return value == want
}

func (s *apiServer) read(w http.ResponseWriter, r *http.Request) map[string]any {
	var value map[string]any
	content, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(content, &value)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return value
}

func (s *apiServer) create(w http.ResponseWriter, r *http.Request) {
	object := s.read(w, r)
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		return
	}
	metadata["uid"], metadata["resourceVersion"], metadata["generation"] = uidOfRequests, "2", 1
	name, _ := metadata["name"].(string)
	s.objects[r.URL.Path+"/"+name] = object
	reply(w, http.StatusCreated, object)
	if s.answer != nil {
		changed := maps.Clone(object)
		changed["status"] = s.answer(object)
		s.objects[r.URL.Path+"/"+name] = changed
		s.notify()
	}
}

// notify wakes all watches. The caller holds mu.
func (s *apiServer) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// watch tells of what there is, and again whenever something changed.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		for _, path := range slices.Sorted(maps.Keys(s.objects)) {
			if filepath.Dir(path) == r.URL.Path && selected(s.objects[path], r.URL.Query().Get("fieldSelector")) {
				_ = json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": s.objects[path]})
			}
		}
		_ = http.NewResponseController(w).Flush()
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-changed:
		}
		s.mu.Lock()
	}
}

func (s *apiServer) patch(w http.ResponseWriter, r *http.Request) {
	object, found := s.objects[r.URL.Path]
	if !found {
		s.refuse(w, r, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	mergeInto(object, s.read(w, r))
	reply(w, http.StatusOK, object)
	if s.evict != nil && strings.Contains(r.URL.Path, "/projectimagecaches/") {
		s.evict(object)
	}
	if s.report != nil && strings.Contains(r.URL.Path, "/devcontainerimages/") {
		s.report(object)
	}
	s.notify()
}

// mergeInto applies a merge patch: https://www.rfc-editor.org/rfc/rfc7386
func mergeInto(target, patch map[string]any) {
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(target, name)
		case isObject:
			if _, there := target[name].(map[string]any); !there {
				target[name] = map[string]any{}
			}
			mergeInto(target[name].(map[string]any), inner)
		default:
			target[name] = value
		}
	}
}

// update replaces an object of Kubernetes, which comes in protobuf.
func (s *apiServer) update(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	decoded, kind, err := scheme.Codecs.UniversalDeserializer().Decode(content, nil, nil)
	var object map[string]any
	if err == nil {
		object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(decoded)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	object["kind"], object["apiVersion"] = kind.Kind, kind.GroupVersion().String()
	s.objects[r.URL.Path] = object
	reply(w, http.StatusOK, object)
}

func (s *apiServer) review(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	// In protobuf, or in JSON.
	decoded, _, err := scheme.Codecs.UniversalDeserializer().Decode(content, nil, nil)
	review, ok := decoded.(*authorizationv1.SelfSubjectAccessReview)
	if err != nil || !ok {
		http.Error(w, fmt.Sprintf("%T: %v", decoded, err), http.StatusBadRequest)
		return
	}
	wanted := review.Spec.ResourceAttributes
	review.Status.Allowed = !slices.Contains(s.denied, wanted.Verb+" "+wanted.Resource)
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	reply(w, http.StatusCreated, review)
}
