package dashboard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/test/browser"
)

// TestAnEvictionSaysWhatFollowsAndRemovesTheImage: the page renews itself when the manager has removed the image.
func TestAnEvictionSaysWhatFollowsAndRemovesTheImage(t *testing.T) {
	prepare(t, workspace(t, t.Name()), "evict-1")
	page := administrator(t, browser.Look{})
	open(page, "What is in there?")
	page.Click(`#rows a:text-is("shop")`)
	page.Click(`#rows tr:has-text("evict-1") a`)
	page.Click(`a:has-text("Evict…")`)
	if text := page.Text("main"); !strings.Contains(text, "The next environment with this configuration builds it again") {
		t.Errorf("what follows is not said: %s", text)
	}
	page.Click(`button:text-is("Evict the image")`)
	page.Wait(`.did:has-text("The manager was asked to remove the image")`)
	page.Wait(`#rows:not(:has-text("evict-1")):has(table)`)
	if asked := kubectl(t, "get", "pic", project, "-o", `jsonpath={.metadata.annotations.imagecache\.dev/evict}`); asked != "" {
		t.Errorf("the eviction is still asked for: %s", asked)
	}
}

// TestTheToggleSaysTheTiersRuleBefore: on Free the switch is grey and names the rule; on Enterprise it works both ways.
func TestTheToggleSaysTheTiersRuleBefore(t *testing.T) {
	page := administrator(t, browser.Look{})
	open(page, "On and off")
	page.Wait(`button[disabled]:has-text("Switch off")`)
	page.Wait(`.lacks:has-text("tiers Core and Enterprise only")`)
	kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Enterprise"}}`)
	t.Cleanup(func() {
		kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"cache":"Enabled"}}`)
		kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Free"}}`)
		kubectl(t, "wait", "--for=condition=Ready", "--timeout=30s", "ric/demo", "pic/shop")
	})
	for _, test := range []struct{ link, button, mode, did string }{
		{"Switch off", "Switch it off", "Disabled", "The cache is off"}, {"Switch on", "Switch it on", "Enabled", "The cache is on"},
	} {
		page.Click(`#rows a:has-text("` + test.link + `")`) // appears by itself
		page.Click(`button:text-is("` + test.button + `")`)
		page.Wait(`.did:has-text("` + test.did + `")`)
		if mode := kubectl(t, "get", "ric", "demo", "-o", "jsonpath={.spec.cache}"); mode != test.mode {
			t.Errorf("after %s the cache is %s", test.link, mode)
		}
	}
}

// TestALiveRequestGoesFromMissToHit: one environment builds, another one waits for it, and the pages follow without a click.
func TestALiveRequestGoesFromMissToHit(t *testing.T) {
	list := administrator(t, browser.Look{})
	open(list, "Why did it wait?")
	folder := workspace(t, t.Name())
	hash := strings.Repeat("a1", 32)
	apply(t, map[string]any{"environmentID": "live-builder", "configHash": hash})
	list.Wait(`#rows tr:has-text("live-builder"):has-text("Building")`)
	builder := administrator(t, browser.Look{})
	open(builder, "Why did it wait?")
	builder.Click(`a:text-is("live-builder")`)
	builder.Wait(`.timeline li.running:has-text("Built")`)

	apply(t, map[string]any{"environmentID": "live-waiter", "configHash": hash})
	list.Wait(`#rows tr:has-text("live-waiter"):has-text("waiting for builder")`)
	list.Click(`a:text-is("live-waiter")`)
	list.Wait(`.timeline li.running:has-text("waits for environment live-builder")`)
	list.Wait(`table tr:has-text("live-builder"):has-text("Builder")`)
	kubectl(t, "patch", "dci", "live-builder", "--type=merge", "-p",
		`{"spec":{"build":{"outcome":"Failed","durationSeconds":2,"message":"no space left"}}}`)
	builder.Wait(`.timeline li.failed:has-text("no space left")`)
	list.Wait(`.timeline li.running:has-text("Built")`) // it took over

	open(list, "Why did it wait?")
	prepare(t, folder, "live-1")
	list.Wait(`#rows tr:has-text("live-1"):has-text("Miss")`)
	prepare(t, folder, "live-2")
	list.Wait(`#rows tr:has-text("live-2"):has-text("Hit")`)
	list.Click(`a:text-is("live-2")`)
	list.Wait(`.timeline li.done:has-text("pulled the image")`)
}

// apply creates a request, named after its environment.
func apply(t *testing.T, spec map[string]any) {
	t.Helper()
	spec["projectRef"] = map[string]any{"name": project}
	spec["trigger"], spec["configurationType"] = "EnvironmentCreated", "Image"
	content, err := json.Marshal(map[string]any{
		"apiVersion": "imagecache.dev/v1alpha1", "kind": "DevcontainerImage",
		"metadata": map[string]any{"name": spec["environmentID"]}, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "-f", path)
}

// viewer returns the kubeconfig of somebody who may only read.
func viewer(t *testing.T) string {
	t.Helper()
	kubectl(t, "create", "serviceaccount", "looker")
	clients, err := cluster.Clients()
	if err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "looker"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "imagecache-viewer"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "looker", Namespace: namespace}},
	}
	if _, err := clients.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kubectl(t, "delete", "rolebinding", "looker")
		kubectl(t, "delete", "serviceaccount", "looker")
	})
	config, err := cluster.ServiceAccountKubeconfig(t.Context(), namespace, "looker")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestAViewerSeesWhatIsMissing: what a viewer may not do is grey, and names the verb. A form sent all the same is refused.
func TestAViewerSeesWhatIsMissing(t *testing.T) {
	kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Core"}}`)
	t.Cleanup(func() { kubectl(t, "patch", "ric", "demo", "--type=merge", "-p", `{"spec":{"tier":"Free"}}`) })
	prepare(t, workspace(t, t.Name()), "viewer-1")
	page := tabs.Open(t, browser.Look{})
	page.Goto(dashboard(t, viewer(t)))
	page.Wait(`text=You may not list events.events.k8s.io in namespace ` + namespace)
	open(page, "On and off")
	page.Wait(`button[disabled]:has-text("Switch off")`)
	page.Wait(`.lacks:has-text("you may not patch runnerimagecaches.imagecache.dev in namespace ` + namespace + `")`)
	open(page, "What is in there?")
	page.Click(`#rows a:text-is("shop")`)
	page.Wait(`.lacks:has-text("you may not patch projectimagecaches.imagecache.dev")`)
	page.Click(`#rows tr:has-text("viewer-1") a`)
	page.Wait(`button[disabled]:has-text("Evict")`)
	page.Wait(`.problem:has-text("you may not get secrets in namespace")`)
	var status int
	page.Evaluate(&status, `fetch(location.pathname + "/evict", {method: "POST"}).then((a) => a.status)`)
	if status != 403 {
		t.Errorf("an eviction that was not offered is answered with %d", status)
	}
	page.Evaluate(&status, `fetch(location.pathname.replace(/images.*/, "toggle/`+namespace+
		`/demo"), {method: "POST", body: new URLSearchParams({value: "Disabled"})}).then((a) => a.status)`)
	if status != 403 {
		t.Errorf("a switch that was not offered is answered with %d", status)
	}
}

// TestReadOnlyLeavesOutWhatChanges: even for somebody who may do anything.
func TestReadOnlyLeavesOutWhatChanges(t *testing.T) {
	page := administrator(t, browser.Look{}, "--read-only")
	open(page, "What is in there?")
	page.Click(`#rows a:text-is("shop")`)
	page.Wait(`button[disabled]:has-text("Invalidate older images")`)
	var status int
	page.Evaluate(&status, `fetch(location.pathname + "/invalidate", {method: "POST"}).then((a) => a.status)`)
	if status != 403 {
		t.Errorf("a change is answered with %d", status)
	}
}
