package dashboard

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/test/browser"
)

// inCluster runs the dashboard as the chart does: with its service account's rights, for everybody with a token. It returns
// the address.
func inCluster(t *testing.T) string {
	t.Helper()
	rendered, err := exec.CommandContext(t.Context(), filepath.Join(programs(), "helm"), "template", "imagecache",
		root("charts", "devcontainer-image-cache"), "--namespace", "imagecache-system", "--show-only", "templates/dashboard.yaml",
		"--set", "image.repository=r,dashboard.enabled=true,dashboard.image.repository=r").Output()
	if err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(objects, rendered, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", objects); err != nil {
		t.Fatal(err)
	}
	config, err := cluster.ServiceAccountKubeconfig(t.Context(), "imagecache-system", "imagecache-dashboard")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if line := start(t, config, "--listen", address, "-A"); !strings.Contains(line, address) {
		t.Fatalf("it printed %q", line)
	}
	return "https://" + address
}

func token(t *testing.T, name string) string {
	t.Helper()
	made, err := cluster.ServiceAccountToken(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestInTheClusterEachCallerHasItsOwnRights: nobody gets in without a token, and what is shown and done is what the token's
// user may.
func TestInTheClusterEachCallerHasItsOwnRights(t *testing.T) {
	address := inCluster(t)
	viewer(t)
	kubectl(t, "create", "serviceaccount", "nobody")
	t.Cleanup(func() { kubectl(t, "delete", "serviceaccount", "nobody") })

	stranger := tabs.Open(t, browser.Look{Insecure: true})
	if status, _ := stranger.Goto(address + "/working"); status != 401 {
		t.Errorf("no token is answered with %d", status)
	}
	stranger.Fill("input[name=token]", "guess")
	stranger.Click(`button:text-is("Log in")`)
	stranger.Wait(`.problem:has-text("does not accept this token")`)
	inspect(t, stranger, "login")

	unknown := tabs.Open(t, browser.Look{Insecure: true, Header: map[string]string{"Authorization": "Bearer guess"}})
	if status, _ := unknown.Goto(address + "/working"); status != 401 {
		t.Errorf("a wrong token is answered with %d", status)
	}

	nobody := tabs.Open(t, browser.Look{Insecure: true, Header: map[string]string{"Authorization": "Bearer " + token(t, "nobody")}})
	nobody.Goto(address)
	nobody.Wait(`text=no runner and no project that you may see`)
	if status, _ := nobody.Goto(address + "/images/" + namespace + "/" + project); status != 403 {
		t.Errorf("a project of others is answered with %d", status)
	}

	// A person gives the token on the page, and a proxy sends it with each request.
	stranger.Fill("input[name=token]", token(t, "looker"))
	stranger.Click(`button:text-is("Log in")`)
	stranger.Wait(`.who:has-text("system:serviceaccount:` + namespace + `:looker")`)
	stranger.Wait(`#rows:has-text("Project shop")`)
	open(stranger, "What is in there?")
	stranger.Click(`#rows a:text-is("shop")`)
	stranger.Wait(`.lacks:has-text("you may not patch projectimagecaches.imagecache.dev")`)
	var status int
	stranger.Evaluate(&status, `fetch(location.pathname + "/invalidate", {method: "POST"}).then((a) => a.status)`)
	if status != 403 {
		t.Errorf("a viewer's change is answered with %d", status)
	}
	stranger.Click(`button:text-is("Log out")`)
	stranger.Wait("input[name=token]")
}
