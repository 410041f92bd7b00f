package page

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/gate"
	"imagecache.dev/internal/dashboard/savings"
	"imagecache.dev/internal/dashboard/store"
)

// entitled has some rights and no other. Its client refuses nothing: what is refused, the page refuses.
type entitled struct {
	access.Viewer
	client client.Client
	rights map[access.Right]bool
}

func (e entitled) Name() string { return "ann" }

func (e entitled) May(_ context.Context, right access.Right) (bool, error) {
	return e.rights[right], nil
}

func (e entitled) Client() client.Client { return e.client }

// shared are pages over a project of which two environments want the same image, and a client of their cluster.
func shared(t *testing.T, options Options) (*Pages, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	made := func(name string) *v1alpha1.DevcontainerImage {
		request := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, CreationTimestamp: metav1.Now()}}
		request.Spec.EnvironmentID, request.Spec.ProjectRef = "of-"+name, &v1alpha1.ProjectReference{Name: "shop"}
		request.Spec.Inputs = []v1alpha1.KeyInput{{Name: "devcontainer.json", Digest: "sha256:1"}}
		request.Status.ConfigHash, request.Status.CacheResult = "abc", v1alpha1.CacheMiss
		request.Status.Role = v1alpha1.RoleBuilder
		return request
	}
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "shop"}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(project, made("builder"), made("waiter")).
		WithIndex(&v1alpha1.DevcontainerImage{}, "spec.projectRef.name", func(o client.Object) []string {
			return []string{o.(*v1alpha1.DevcontainerImage).Spec.ProjectRef.Name}
		}).Build()
	held := store.New()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		held.Run(ctx, cluster, options.Namespace)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	changed, leave := held.Subscribe()
	defer leave()
	for !held.Projects.State().Loaded || !held.Requests.State().Loaded || !held.Runners.State().Loaded {
		<-changed
	}
	options.Store, options.Base, options.Now = held, "/", time.Now
	return New(options), cluster
}

func visitAs(ctx context.Context, pages *Pages, viewer access.Viewer, path string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	answer := httptest.NewRecorder()
	pages.Handler().ServeHTTP(answer, request.WithContext(gate.WithViewer(ctx, viewer)))
	return answer
}

func rights(all ...access.Right) map[access.Right]bool {
	found := map[access.Right]bool{}
	for _, right := range all {
		found[right] = true
	}
	return found
}

// TestWhoSharesARequestIsShownToThoseWhoMayReadIt: the store knows all requests, whoever looks.
func TestWhoSharesARequestIsShownToThoseWhoMayReadIt(t *testing.T) {
	pages, cluster := shared(t, Options{})
	get := func(name string) access.Right {
		return access.Right{Verb: "get", Resource: access.Requests, Namespace: "n", Name: name}
	}
	list := access.Right{Verb: "list", Resource: access.Requests, Namespace: "n"}
	for name, test := range map[string]struct {
		rights map[access.Right]bool
		shown  bool
	}{
		"one":  {rights(get("waiter")), false},
		"both": {rights(get("waiter"), get("builder")), true},
		"list": {rights(get("waiter"), list), true},
	} {
		answer := visitAs(t.Context(), pages, entitled{client: cluster, rights: test.rights}, "/requests/n/waiter")
		if answer.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", name, answer.Code, answer.Body)
		}
		if shown := strings.Contains(answer.Body.String(), "of-builder"); shown != test.shown {
			t.Errorf("%s: the other request is shown: %t", name, shown)
		}
	}
}

// TestImagesNeedTheRightToListRequests: also when somebody else's look has put them into memory.
func TestImagesNeedTheRightToListRequests(t *testing.T) {
	pages, cluster := shared(t, Options{})
	get := access.Right{Verb: "get", Resource: access.Projects, Namespace: "n", Name: "shop"}
	list := access.Right{Verb: "list", Resource: access.Requests, Namespace: "n"}
	for i, test := range []struct {
		rights map[access.Right]bool
		want   int
	}{{rights(get, list), 200}, {rights(get), 403}} {
		answer := visitAs(t.Context(), pages, entitled{client: cluster, rights: test.rights}, "/images/n/shop")
		if answer.Code != test.want {
			t.Errorf("visit %d is answered with %d, want %d", i, answer.Code, test.want)
		}
	}
}

// TestHowMuchWasReadIsForThoseWhoMayList: the number of others' requests is not for everybody.
func TestHowMuchWasReadIsForThoseWhoMayList(t *testing.T) {
	pages := New(Options{Store: store.New(), Base: "/", Now: time.Now})
	answer := visitAs(t.Context(), pages, entitled{}, "/working").Body.String()
	if !strings.Contains(answer, "Reading requests.") || strings.Contains(answer, "so far") {
		t.Errorf("the page tells: %s", answer)
	}
}

// TestMetricsAreOfNamespacesThatTheViewerMayList: they count projects and requests.
func TestMetricsAreOfNamespacesThatTheViewerMayList(t *testing.T) {
	list := func(resource, namespace string) access.Right {
		return access.Right{Verb: "list", Resource: resource, Namespace: namespace}
	}
	for name, test := range map[string]struct {
		rights    map[access.Right]bool
		namespace string // of the dashboard
		want      string
	}{
		"nothing":                  {nil, "", ""},
		"nothing of the namespace": {nil, "n", ""},
		"projects alone":           {rights(list(access.Projects, "n")), "", ""},
		"both":                     {rights(list(access.Projects, "n"), list(access.Requests, "n")), "", "n"},
		"all":                      {rights(list(access.Projects, ""), list(access.Requests, "")), "", "all"},
		"all, of one":              {rights(list(access.Projects, ""), list(access.Requests, "")), "n", "n"},
	} {
		got := "not asked"
		days := func(_ context.Context, days int, namespaces []string, now time.Time) ([]savings.Day, error) {
			if got = strings.Join(namespaces, ","); namespaces == nil {
				got = "all"
			}
			return savings.Empty(days, now), nil
		}
		pages, _ := shared(t, Options{Namespace: test.namespace, Days: days})
		visitAs(t.Context(), pages, entitled{rights: test.rights}, "/savings")
		if got != test.want {
			t.Errorf("%s: asked for %q, want %q", name, got, test.want)
		}
	}
}

// TestNobodyHearsOfWhatTheyMayNotList: that others' requests change is not for everybody.
func TestNobodyHearsOfWhatTheyMayNotList(t *testing.T) {
	pages, _ := shared(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	list := access.Right{Verb: "list", Resource: access.Requests, Namespace: "n"}
	heard := visitAs(ctx, pages, entitled{rights: rights(list)}, "/events?since=0-0").Body.String()
	if !strings.Contains(heard, "event: requests") || strings.Contains(heard, "event: objects") {
		t.Errorf("it hears %q", heard)
	}
}
